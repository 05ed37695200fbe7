#!/bin/sh
# Makes what docker-compose.tls.yml needs, in compose/tls or in REDIS_CERTIFICATES: an authority, a
# certificate for each of the six servers, one for clients. Run again it renews the certificates
# under the same authority; who trusts that need not be told.
#     CERTIFICATE_NAMES=DNS:redis.example.org,IP:10.0.0.5 compose/make-certificates.sh
set -eu
umask 077

cd "$(dirname "$0")"
directory=${REDIS_CERTIFICATES:-./tls}
subnet=${REDIS_SUBNET:-172.16.79}
days=${CERTIFICATE_DAYS:-365}
readers=${REDIS_SECRETS_GROUP:-999}  # the group that the servers belong to

command -v openssl >/dev/null || { echo "openssl is missing" >&2; exit 1; }
mkdir -p "$directory"
cd "$directory"
work=$(mktemp -d ./new.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# quietly COMMAND...: it is heard only when it fails.
quietly() {
    "$@" 2>"$work/errors" >&2 || { cat "$work/errors" >&2; exit 1; }
}

key() {
    quietly openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$1"
}

authority() {
    printf '%s\n' '[req]' 'distinguished_name = name' '[name]' '[authority]' \
        'basicConstraints = critical, CA:true, pathlen:0' \
        'keyUsage = critical, keyCertSign, cRLSign' 'subjectKeyIdentifier = hash' >"$work/ca.cnf"
    key "$work/ca.key"
    quietly openssl req -x509 -new -key "$work/ca.key" -out "$work/ca.crt" -days 3650 -sha256 \
        -subj '/CN=sahool-redis authority' -config "$work/ca.cnf" -extensions authority
    mv "$work/ca.key" "$work/ca.crt" .
    chmod 644 ca.crt
}

# certificate NAME FILE USAGE SANS [GROUP]: NAME/FILE.crt and .key, beside a copy of the authority's.
# The key is its owner's, and the group's who may read it.
certificate() {
    key "$work/$2.key"
    quietly openssl req -new -key "$work/$2.key" -out "$work/request" -subj "/CN=$1"
    printf '%s\n' 'basicConstraints = critical, CA:false' 'keyUsage = critical, digitalSignature' \
        'subjectKeyIdentifier = hash' 'authorityKeyIdentifier = keyid' \
        "extendedKeyUsage = $3" "subjectAltName = $4" >"$work/extensions"
    quietly openssl x509 -req -in "$work/request" -out "$work/$2.crt" -days "$days" -sha256 \
        -CA ca.crt -CAkey ca.key -set_serial "0x$(openssl rand -hex 16)" -extfile "$work/extensions"
    mkdir -p "$1"
    cp ca.crt "$work/ca.crt"
    if [ $# -gt 4 ]; then
        chgrp "$5" "$1" "$work/$2.key"
        chmod g+rX "$1" "$work/$2.key"
    fi
    chmod 644 "$work/$2.crt" "$work/ca.crt"
    mv "$work/$2.key" "$work/$2.crt" "$work/ca.crt" "$1/"
}

# server SERVICE ADDRESS: replicas and sentinels are clients of the others, too.
server() {
    names="DNS:$1,DNS:sahool-$1,DNS:localhost,IP:$subnet.$2,IP:127.0.0.1,IP:::1"
    names=$names${CERTIFICATE_NAMES:+,$CERTIFICATE_NAMES}
    certificate "$1" server serverAuth,clientAuth "$names" "$readers"
}

if ! chgrp "$readers" "$work" 2>/dev/null; then
    readers=$(id -g)
    echo "You may not give files to group ${REDIS_SECRETS_GROUP:-999}, so your own may read the keys." \
        "Tell Compose: REDIS_SECRETS_GROUP=$readers" >&2
fi
[ -e ca.key ] && [ -e ca.crt ] || authority
server redis-master 11
server redis-replica-1 12
server redis-replica-2 13
server redis-sentinel-1 21
server redis-sentinel-2 22
server redis-sentinel-3 23
certificate redis-exporter client clientAuth DNS:redis-exporter "$readers"
certificate client client clientAuth DNS:sahool-redis-client
echo "$(pwd): valid for $days days; clients trust ca.crt"
