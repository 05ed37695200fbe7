#!/bin/sh
# Succeeds for a master that answers, for a replica that is in touch with its master, and for a
# sentinel that sees enough others to replace a master.
. /opt/redis/node.sh

REDISCLI_AUTH=$(password redis_monitoring_password)
export REDISCLI_AUTH
cli=$(program cli)
set -- --user sahool-monitoring --no-auth-warning
if [ "${REDIS_TLS:-}" = yes ]; then
    set -- "$@" --tls --cacert /tls/ca.crt --cert /tls/server.crt --key /tls/server.key
fi

if [ -z "${MASTER_NAME:-}" ]; then
    reply=$("$cli" "$@" PING)
    [ "$reply" = PONG ] || die "$reply"  # INFO answers while data are loaded, too
    reply=$("$cli" "$@" INFO replication)
    case $reply in *role:master* | *master_link_status:up*) ;; *) die "$reply" ;; esac
else
    reply=$("$cli" "$@" -p 26379 SENTINEL CKQUORUM "$MASTER_NAME")
    case $reply in OK*) ;; *) die "$reply" ;; esac
fi
