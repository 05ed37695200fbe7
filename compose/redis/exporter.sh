#!/bin/sh
# Starts the exporter as the user whom servers and sentinels have for it. Prometheus has each of
# them asked by /scrape?target=...; /metrics speaks of the server that was the first master.
. /opt/redis/node.sh

scheme=redis
if [ "${REDIS_TLS:-}" = yes ]; then
    scheme=rediss
    export REDIS_EXPORTER_TLS_CA_CERT_FILE=/tls/ca.crt
    export REDIS_EXPORTER_TLS_CLIENT_CERT_FILE=/tls/client.crt
    export REDIS_EXPORTER_TLS_CLIENT_KEY_FILE=/tls/client.key
fi
REDIS_USER=sahool-monitoring
REDIS_PASSWORD=$(password redis_monitoring_password)
REDIS_ADDR=$scheme://redis-master:6379
export REDIS_USER REDIS_PASSWORD REDIS_ADDR
exec /redis_exporter
