#!/bin/sh
# Starts a sentinel. Kept from the file before is what it has learned; the rest is written anew, and
# has to be: Sentinel writes passwords back without quotes, which it may fail to read.
. /opt/redis/node.sh
cd /data

learned='myid|monitor|current-epoch|config-epoch|leader-epoch|known-replica|known-slave|known-sentinel'
if [ -s sentinel.conf ]; then
    state=$(sed -n -E "/^sentinel ($learned) /p" sentinel.conf)
else
    state="sentinel monitor $MASTER_NAME $MASTER_HOST 6379 2"
fi

protection=$(secret redis_sentinel_password)
if [ -n "$protection" ]; then protection=$(hash redis_sentinel_password); fi
{
    default_user "${protection:-nopass}"
    users /opt/redis/sentinels.acl
} >users.acl

auth=$(quoted redis_sentinel_user_password)
{
    listen 26379
    printf '%s\n' 'dir /data' 'aclfile /data/users.acl' "$state" \
        "sentinel down-after-milliseconds $MASTER_NAME 5000" \
        "sentinel failover-timeout $MASTER_NAME 60000" \
        "sentinel auth-user $MASTER_NAME sahool-sentinel" \
        "sentinel auth-pass $MASTER_NAME $auth" \
        'sentinel sentinel-user sahool-sentinel' "sentinel sentinel-pass $auth"
} >sentinel.conf.new
mv sentinel.conf.new sentinel.conf

server=$(program server)
exec "$server" /data/sentinel.conf --sentinel
