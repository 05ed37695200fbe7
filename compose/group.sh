#!/bin/sh
# What `make up / down / logs / ps` call: Compose, version 1 or 2, with the files that .env asks for.
#     compose/group.sh up | down | logs | ps [what Compose takes]
# `up` waits until all is healthy. WITHOUT="grafana prometheus" leaves services out.
set -eu
CDPATH='' cd "$(dirname "$0")/.."

die() {
    echo "$*" >&2
    exit 1
}

. compose/settings.sh

setting() {
    _said "$1" || true
    printf '%s' "$value"
}

compose() {
    case $(setting REDIS_TLS) in
        1 | [Tt]rue | [Yy]es | [Oo]n) set -- --file compose/docker-compose.tls.yml "$@" ;;
    esac
    set -- --file compose/docker-compose.redis-ha.yml "$@"
    [ ! -r .env ] || set -- --env-file .env "$@"
    if docker compose version >/dev/null 2>&1; then
        docker compose "$@"
    elif command -v docker-compose >/dev/null; then
        docker-compose "$@"
    else
        die "Compose is missing; on Debian and Ubuntu: apt-get install docker-compose"
    fi
}

# An empty REDIS_PASSWORD says that it is a secret; to end a group, or look at it, none is needed.
find_password() {
    [ -z "$(setting REDIS_PASSWORD)" ] || return 0
    secrets=$(setting REDIS_SECRETS)
    if [ "$1" = up ] && ! (cd compose && [ -s "${secrets:-./secrets}/redis_password" ]); then
        die "REDIS_PASSWORD is not set: put it into the environment, into .env," \
            "or into compose/secrets/redis_password"
    fi
    export REDIS_PASSWORD=
}

# services: what to start; nothing stands for all.
services() {
    [ -n "${WITHOUT:-}" ] || return 0
    for service in $(compose config --services); do
        case " $WITHOUT " in *" $service "*) ;; *) echo "$service" ;; esac
    done
}

# unhealthy SERVICES...: which of them are not, stopped ones included.
unhealthy() {
    containers=$(compose ps --all --quiet "$@")
    states=$(docker inspect --format \
        '{{.Name}} {{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}' \
        $containers)
    printf '%s\n' "$states" | sed -n -E '/ (healthy|running)$/!s/^\/(.*) (.*)$/\1 is \2/p'
}

wait_until_healthy() {
    deadline=$(($(date +%s) + 120))
    others=$(unhealthy "$@")
    while [ -n "$others" ]; do
        [ "$(date +%s)" -lt "$deadline" ] || die "After two minutes: $others; see \`make logs\`."
        sleep 1
        others=$(unhealthy "$@")
    done
    echo "All are healthy."
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
    up)
        find_password up
        wanted=$(services)
        compose up --detach "$@" $wanted
        wait_until_healthy $wanted
        ;;
    down | logs | ps)
        find_password "$command"
        compose "$command" "$@"
        ;;
    *) die "usage: compose/group.sh up | down | logs | ps [what Compose takes]" ;;
esac
