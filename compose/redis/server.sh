#!/bin/sh
# Starts a data server. All of its configuration is written anew, so that the variables are the
# truth; only whom it follows is kept from the file before, where Sentinel wrote it: an old master
# that comes back must not overwrite the new one.
. /opt/redis/node.sh
cd /data

if [ -s redis.conf ]; then
    following=$(sed -n '/^replicaof /p' redis.conf)
else
    following=${REPLICA_OF:+replicaof $REPLICA_OF}
fi

# In a file of its own, since Sentinel has redis.conf rewritten, with what users were then.
hash=$(hash redis_password)
{
    default_user "$hash"
    users /opt/redis/servers.acl
} >users.acl

# A master that restarts without its data would empty its replicas: hence the append-only file. It
# takes no write until a replica is in sync, so it does not wait 5 s for others to copy together.
auth=$(quoted redis_replication_password)
{
    listen 6379
    printf '%s\n' 'dir /data' 'aclfile /data/users.acl' \
        'masteruser sahool-replication' "masterauth $auth" \
        'appendonly yes' 'appendfsync everysec' 'save 3600 1' 'save 300 100' 'save 60 10000' \
        "min-replicas-to-write $REDIS_MIN_REPLICAS" 'min-replicas-max-lag 10' \
        'repl-diskless-sync-delay 1' 'repl-backlog-size 32mb' \
        "maxmemory $REDIS_MAXMEMORY" "maxmemory-policy $REDIS_MAXMEMORY_POLICY" "$following"
} >redis.conf.new
mv redis.conf.new redis.conf  # at once: a half-written file would forget whom to follow

server=$(program server)
exec "$server" /data/redis.conf
