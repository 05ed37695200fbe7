#!/bin/sh
# Makes a Docker image of the redis-server that is installed here, where none can be pulled:
#     REDIS_IMAGE=sahool-redis:local compose/make-local-image.sh
# It holds the server, redis-cli, sh and sed, their libraries, and as the official image does a
# user 999 who owns /data.
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

for program in redis-server redis-cli sh sed; do
    path=$(PATH=/usr/bin:/bin command -v "$program") || {
        echo "$program is missing; on Debian and Ubuntu: apt-get install redis-server" >&2
        exit 1
    }
    for file in "$path" $(ldd "$path" | grep -o '/[^ ]*'); do
        cp --parents --dereference "$file" "$root"
    done
done

pack() {
    tar --file "$work/root.tar" --directory "$root" --numeric-owner "$@"
}
pack --create --owner 0 --group 0 --exclude ./data .
pack --append --owner 999 --group 999 ./data
docker import --change 'WORKDIR /data' --change 'EXPOSE 6379' --change 'CMD ["redis-server"]' \
    "$work/root.tar" "$image"
