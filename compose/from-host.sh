# Sourced by the scripts beside it: how `sahool-cache` on this host finds the compose group. What
# the environment or .env says stands; the rest is as the compose file has it.

CDPATH='' cd "$(dirname "$0")/.." || exit

. compose/settings.sh

_default() {
    if ! _said "$1"; then
        export "$1=$2"
    fi
}

_beside() {  # sets `place`: a directory that is named as the compose files name it
    if _said "$1"; then place=$value; else place=$2; fi
    case $place in /*) ;; *) place=compose/${place#./} ;; esac
}

_map() {  # announced=reachable, for each container
    for each in 11:6379=6379 12:6379=6380 13:6379=6381 21:26379=26379 22:26379=26380 23:26379=26381; do
        printf '%s.%s=127.0.0.1:%s,' "$1" "${each%=*}" "${each#*=}"
    done
}

if _said REDIS_SUBNET; then subnet=$value; else subnet=172.16.79; fi
_default REDIS_ADDRESS_MAP "$(_map "$subnet" | sed 's/,$//')"
_default REDIS_MASTER_NAME sahool-master
_said REDIS_SENTINEL_HOST_1 || _default REDIS_SENTINELS 127.0.0.1:26379,127.0.0.1:26380,127.0.0.1:26381

# container_at PORT: the group's container behind that port of this host, running or not.
container_at() {
    # shellcheck disable=SC2046 # ids
    docker inspect --format '{{.Name}} {{json .HostConfig.PortBindings}}' \
        $(docker ps --all --quiet --filter label=com.sahool.role) |
        sed -n 's/^\/\([^ ]*\) .*"HostPort":"'"$1"'".*/\1/p'
}

# With TLS, the certificates that compose/make-certificates.sh has made.
if _said REDIS_TLS; then
    case $value in
        1 | [Tt]rue | [Yy]es | [Oo]n)
            _beside REDIS_CERTIFICATES ./tls
            _default REDIS_TLS_CA_FILE "$place/ca.crt"
            if _said REDIS_CLIENT_CERTIFICATES && [ "$value" = yes ]; then
                _default REDIS_TLS_CERT_FILE "$place/client/client.crt"
                _default REDIS_TLS_KEY_FILE "$place/client/client.key"
            fi
            ;;
    esac
fi

# Where nobody comes in without a name, or a password is a file, which wins over the variable: the
# administrator of the group.
_is_administrator() {
    for each in REDIS_URL REDIS_USERNAME REDIS_PASSWORD_FILE; do
        ! _said "$each" || return 1
    done
    ! _said REDIS_DEFAULT_USER || [ "$value" != off ] || return 0
    _beside REDIS_SECRETS ./secrets
    [ ! -s "$place/redis_password" ] && [ ! -s "$place/redis_sentinel_password" ] || return 0
    ! _said REDIS_PASSWORD
}

_administrators_password() {  # as the servers find it
    _beside REDIS_SECRETS ./secrets
    for each in redis_admin_password redis_password; do
        if [ -s "$place/$each" ]; then
            head -n 1 "$place/$each"
            return
        fi
        if _said "$(printf '%s' "$each" | tr '[:lower:]' '[:upper:]')"; then
            printf '%s\n' "$value"
            return
        fi
    done
}

# Only this process is told the login: to Compose the same names mean something else.
sahool_cache() (
    if _is_administrator; then
        export REDIS_USERNAME=sahool-admin REDIS_SENTINEL_USERNAME=sahool-admin
        REDIS_PASSWORD=$(_administrators_password)
        REDIS_SENTINEL_PASSWORD=$REDIS_PASSWORD
        export REDIS_PASSWORD REDIS_SENTINEL_PASSWORD
    fi
    if [ -x .venv/bin/sahool-cache ]; then
        .venv/bin/sahool-cache "$@"
    elif command -v sahool-cache >/dev/null; then
        sahool-cache "$@"
    else
        echo 'sahool-cache is missing: make demo installs it here, pip install "sahool-cache[cli]" anywhere' >&2
        return 64
    fi
)
