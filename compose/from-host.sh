# Sourced by the scripts beside it: how `sahool-cache` on this host finds the compose group. What
# the environment or .env says stands; the rest is as the compose file has it.

cd "$(dirname "$0")/.." || exit

_said() {  # a variable of the environment, or of .env
    eval "value=\${$1:-}"
    if [ -z "$value" ] && [ -f .env ]; then
        value=$(sed -n "s/^$1=//p" .env | tail -n 1)
    fi
    [ -n "$value" ]
}

_default() {
    if ! _said "$1"; then
        export "$1=$2"
    fi
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

if _said REDIS_SECRETS; then secrets=$value; else secrets=./secrets; fi
case $secrets in /*) ;; *) secrets=compose/$secrets ;; esac
for each in REDIS_PASSWORD REDIS_SENTINEL_PASSWORD; do
    file=$secrets/$(printf '%s' "$each" | tr '[:upper:]' '[:lower:]')
    if ! _said "$each" && [ -e "$file" ]; then _default "${each}_FILE" "$file"; fi
done

sahool_cache() {
    if [ -x .venv/bin/sahool-cache ]; then
        .venv/bin/sahool-cache "$@"
    elif command -v sahool-cache >/dev/null; then
        sahool-cache "$@"
    else
        echo 'sahool-cache is missing: make demo installs it here, pip install "sahool-cache[cli]" anywhere' >&2
        return 64
    fi
}
