#!/bin/sh
# Stops the container of whoever is master now, measures the outage, and starts it again:
# `sahool-cache failover-test`, from this host. --planned stops nothing and tells the sentinels to
# promote a replica. Asks first, unless --yes. Exit status 0 well, 1 above a bound or not whole
# again, 2 no new master.
set -u
. "$(dirname "$0")/from-host.sh"

case ${1:-} in
    --planned)
        shift
        sahool_cache failover-test "$@"
        ;;
    --container)  # what it calls itself with: stop | start, and the port of the master
        name=$(container_at "$3")
        [ -n "$name" ] || { echo "no container of the compose group is behind port $3" >&2; exit 1; }
        docker "$2" "$name"
        ;;
    *)
        # By its port: the label of a master says who began as one.
        sahool_cache failover-test --stop 'compose/test-failover.sh --container stop {port}' \
            --start 'compose/test-failover.sh --container start {port}' "$@"
        ;;
esac
