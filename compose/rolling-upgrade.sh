#!/bin/sh
# Brings the compose group to another image, one container after another, under load:
#     REDIS_IMAGE=valkey/valkey:9 compose/rolling-upgrade.sh [--yes] [--no-backup]
# A backup, the replicas, a failover, the old master, the sentinels; after each step the whole group
# has to be well. It stops at the first trouble, with exit status 1. Run again on a group that is well,
# it goes on: containers of that image are passed over. docs/operations/rolling-upgrade.md tells more.
set -u
. "$(dirname "$0")/from-host.sh"

WELL_WITHIN=120
SERVERS="redis-master redis-replica-1 redis-replica-2"
SENTINELS="redis-sentinel-1 redis-sentinel-2 redis-sentinel-3"

usage() {
    echo "usage: REDIS_IMAGE=name:tag compose/rolling-upgrade.sh [--yes] [--no-backup]" >&2
    exit 64
}

say() {
    printf '== %s\n' "$*"
}

stop() {
    printf '%s\n' "Stopped: $*" "The group goes on as it is. How to go on with the upgrade, and how to go back:" \
        "docs/operations/rolling-upgrade.md, \"If it stops\"." >&2
    exit 1
}

image_of() {
    docker inspect --format '{{.Image}}' "sahool-$1"
}

is_done() {
    [ "$(image_of "$1")" = "$wanted" ]
}

# The whole group, not only those who are in sight.
is_well() {
    found=$(sahool_cache health --json --within "$WELL_WITHIN") || return 1
    [ "$(printf '%s\n' "$found" | grep -c '"in_rotation": true')" = 2 ] &&
        printf '%s\n' "$found" | grep -q '"answering": 3'
}

# The service whose port the master is reached by.
master() {
    port=$(sahool_cache health --json | sed -n 's/^ *"master": ".*:\([0-9]*\)".*/\1/p')
    name=$(container_at "${port:-none}")
    printf '%s' "${name#sahool-}"
}

# redis SERVICE PORT COMMAND: what the administrator is answered there.
redis() {
    container=sahool-$1
    shift
    docker exec "$container" sh -c '. /opt/redis/node.sh
        REDISCLI_AUTH=$(password redis_admin_password)
        export REDISCLI_AUTH
        cli=$(program cli)
        port=$1
        shift
        if [ "${REDIS_TLS:-}" = yes ]; then
            set -- --tls --cacert /tls/ca.crt --cert /tls/server.crt --key /tls/server.key "$@"
        fi
        "$cli" --user sahool-admin --no-auth-warning -p "$port" "$@"' sh "$@"
}

upgrade() {
    if is_done "$1"; then
        say "$1 is done"
        return
    fi
    say "$1"
    WITHOUT='' compose/group.sh up --no-deps --force-recreate "$1" >/dev/null || stop "$1 does not start"
    is_done "$1" || stop "$1 does not run $image"
    is_well || stop "the group is not well with the new $1: see compose/health-check.sh"
}

# Until the old master knows of it, too: as it ends, so it comes back.
fail_over() {
    say "failover: $1 is no longer to be master"
    name=$(docker exec sahool-redis-sentinel-1 sh -c 'printf %s "$MASTER_NAME"')
    until_is asked_for_failover || stop "no sentinel agrees to a failover: $said"
    until_is is_replica "$1" || stop "$1 is still master"
}

# A sentinel that has not asked the new replicas yet does not trust them: another may, or it later.
asked_for_failover() {
    for sentinel in $SENTINELS; do
        said=$(redis "$sentinel" 26379 SENTINEL FAILOVER "$name" 2>&1)
        [ "$said" != OK ] || return 0
    done
    return 1
}

is_replica() {
    redis "$1" 6379 INFO replication | grep -q '^role:slave'
}

# until_is CONDITION: fails if that takes too long.
until_is() {
    deadline=$(($(date +%s) + WELL_WITHIN))
    until "$@"; do
        [ "$(date +%s)" -lt "$deadline" ] || return 1
        sleep 0.5
    done
}

yes=
backup=yes
for word in "$@"; do
    case $word in
        --yes | -y) yes=yes ;;
        --no-backup) backup= ;;
        *) usage ;;
    esac
done
_said REDIS_IMAGE || usage
image=$value
export REDIS_IMAGE="$image"

# Two at once would take two sentinels away, or a replica and the master. macOS has no flock.
exec 9<compose/rolling-upgrade.sh
if command -v flock >/dev/null && ! flock -n 9; then
    echo "Another rolling upgrade is under way." >&2
    exit 1
fi
docker image inspect "$image" >/dev/null 2>&1 || docker pull "$image" || stop "there is no $image"
wanted=$(docker image inspect --format '{{.Id}}' "$image")
is_well || stop "the group is not well as it is: see compose/health-check.sh"

if [ -z "$yes" ]; then
    [ -t 0 ] || { echo "Nobody is there to be asked: pass --yes." >&2; exit 64; }
    printf 'This makes all six containers anew, one by one, of %s. Go on? [y/N] ' "$image" >&2
    read -r answer
    case $answer in [Yy]*) ;; *) exit 64 ;; esac
fi
if [ -n "$backup" ]; then
    say backup
    # 1 is taken, too: an older one could not be removed
    compose/backup_redis.sh || [ $? = 1 ] || stop "there is no backup; --no-backup goes without one"
fi

first=$(master)
[ -n "$first" ] || stop "it is not known who is master"
for service in $SERVERS; do
    [ "$service" = "$first" ] || upgrade "$service"
done
is_done "$first" || fail_over "$first"
upgrade "$first"
for service in $SENTINELS; do
    upgrade "$service"
done
say "all run $image: write REDIS_IMAGE=$image into .env"
