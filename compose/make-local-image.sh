#!/bin/sh
# Makes a Docker image of the redis-server that is installed here, where none can be pulled:
#     REDIS_IMAGE=sahool-redis:local compose/make-local-image.sh
# It holds the server, redis-cli and what the scripts in compose/redis call, their libraries, and as
# the official image does a user 999 who owns /data. With the path of a valkey-server it is Valkey's:
#     REDIS_IMAGE=sahool-valkey:local compose/make-local-image.sh /usr/bin/valkey-server
set -eu

image=${REDIS_IMAGE:-sahool-redis:local}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

root=$work/root
mkdir -p "$root/data" "$root/etc" "$root/tmp" "$root/usr/bin"
ln -s usr/bin "$root/bin"
chmod 1777 "$root/tmp"
printf '%s\n' 'root:x:0:0::/:/bin/sh' 'redis:x:999:999::/data:/bin/sh' >"$root/etc/passwd"
printf '%s\n' 'root:x:0:' 'redis:x:999:' >"$root/etc/group"

# add PATH: that program and its libraries, where they are here.
add() {
    for file in "$1" $(ldd "$1" | grep -o '/[^ ]*'); do
        cp --parents --dereference "$file" "$root"
    done
}

for program in redis-server redis-cli sh sed tr mv id sha256sum; do
    path=$(PATH=/usr/bin:/bin command -v "$program") || {
        echo "$program is missing; on Debian and Ubuntu: apt-get install redis-server" >&2
        exit 1
    }
    add "$path"
done

server=redis-server
if [ $# -gt 0 ]; then
    server=valkey-server
    add "$1"
    rm "$root/usr/bin/redis-server"
    ln -sf "$1" "$root/usr/bin/valkey-server"
    mv "$root/usr/bin/redis-cli" "$root/usr/bin/valkey-cli"  # they speak the same protocol
fi

pack() {
    tar --file "$work/root.tar" --directory "$root" --numeric-owner "$@"
}
pack --create --owner 0 --group 0 --exclude ./data .
pack --append --owner 999 --group 999 ./data
docker import --change 'WORKDIR /data' --change 'EXPOSE 6379' --change "CMD [\"$server\"]" \
    "$work/root.tar" "$image"
