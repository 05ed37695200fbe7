# What the start of a node and its health check share; they read this file first.
# Passwords go from files to files: no command ever has one as an argument, where `ps` shows it.
set -eu
umask 077

secrets=/run/secrets

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

# program NAME: Redis's server or cli; Valkey has other names for them.
program() {
    command -v "redis-$1" || command -v "valkey-$1" || die "the image has no redis-$1"
}

# secret NAME: the first line of the file of that name, or else the variable in capitals.
secret() {
    [ -x "$secrets" ] || die "$secrets: not readable for user $(id -u), groups $(id -G)"
    if [ -e "$secrets/$1" ]; then
        [ -r "$secrets/$1" ] || die "$secrets/$1: not readable for user $(id -u), groups $(id -G)"
        IFS= read -r value <"$secrets/$1" || [ -n "$value" ] || die "$secrets/$1 is empty"
    else
        variable=$(printf '%s' "$1" | tr '[:lower:]' '[:upper:]')
        eval "value=\${$variable:-}"
    fi
    printf '%s' "$value"
}

# password NAME: that secret; who has none of its own has the group's.
password() {
    found=$(secret "$1")
    [ -n "$found" ] || found=$(secret redis_password)
    [ -n "$found" ] || die "no password: REDIS_PASSWORD is empty, and there is no secrets/redis_password"
    printf '%s' "$found"
}

# quoted NAME: that password as a word of a configuration file.
quoted() {
    word=$(password "$1")
    printf '%s' "$word" | sed 's/[\\"]/\\&/g; s/^/"/; s/$/"/'
}

# hash NAME: that password as a word of an ACL.
hash() {
    word=$(password "$1")
    sum=$(printf '%s' "$word" | sha256sum)
    printf '#%s' "${sum%% *}"
}

# users FILE: the users of that file, each with the hash of a password in place of its name.
users() {
    while IFS= read -r line; do
        case $line in
            'user '*'#<'*'>'*)
                name=${line#*'#<'}
                name=${name%%'>'*}
                hash=$(hash "$name")
                printf '%s\n' "${line%%'#<'*}$hash${line#*'>'}"
                ;;
        esac
    done <"$1"
}

# default_user PASSWORD: who needs no name; a setting turns it off. Off it keeps its rights, which
# nobody can use, since Redis 7.0 asks for them when it loads the append-only file: without them it
# would leave out every transaction.
default_user() {
    case ${REDIS_DEFAULT_USER:-on} in
        on) printf '%s\n' "user default on $1 ~* &* +@all" ;;
        off) printf '%s\n' 'user default off resetpass ~* &* +@all' ;;
        *) die "REDIS_DEFAULT_USER is on or off, not $REDIS_DEFAULT_USER" ;;
    esac
}

# listen PORT: plain, or TLS in its place.
listen() {
    if [ "${REDIS_TLS:-}" != yes ]; then
        printf '%s\n' "port $1"
        return
    fi
    [ -r /tls/server.key ] || die "/tls/server.key: not readable for user $(id -u), groups $(id -G)"
    printf '%s\n' 'port 0' "tls-port $1" 'tls-replication yes' \
        'tls-cert-file /tls/server.crt' 'tls-key-file /tls/server.key' \
        'tls-ca-cert-file /tls/ca.crt' 'tls-protocols "TLSv1.2 TLSv1.3"' \
        "tls-auth-clients $REDIS_CLIENT_CERTIFICATES"
}
