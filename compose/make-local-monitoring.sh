#!/bin/sh
# Makes Docker images of the prometheus and prometheus-redis-exporter that are installed here, where
# none can be pulled:
#     PROMETHEUS_IMAGE=... EXPORTER_IMAGE=... compose/make-local-monitoring.sh
# Like the official ones they have a busybox for the shell and wget, and their programs, users and
# folders are in the same places.
set -eu

prometheus=${PROMETHEUS_IMAGE:-sahool-prometheus:local}
exporter=${EXPORTER_IMAGE:-sahool-exporter:local}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# add ROOT PROGRAM PATH: the program that is installed, at that path of the image.
add() {
    source=$(PATH=/usr/bin:/bin command -v "$2") || {
        echo "$2 is missing; on Debian and Ubuntu: apt-get install" \
            "prometheus prometheus-redis-exporter busybox" >&2
        exit 1
    }
    mkdir -p "$1/$(dirname "$3")"
    cp --dereference "$source" "$1/$3"
    for file in $(ldd "$source" | grep -o '/[^ ]*'); do
        cp --parents --dereference "$file" "$1"
    done
}

# lay ROOT: what both images have.
lay() {
    mkdir -p "$1/etc" "$1/tmp"
    chmod 1777 "$1/tmp"
    printf '%s\n' 'root:x:0:0::/:/bin/sh' 'nobody:x:65534:65534::/:/bin/sh' >"$1/etc/passwd"
    printf '%s\n' 'root:x:0:' 'nobody:x:65534:' >"$1/etc/group"
    add "$1" busybox bin/busybox
    for name in sh cat id sed tr wget; do
        ln -s busybox "$1/bin/$name"
    done
}

root=$work/prometheus
lay "$root"
mkdir -p "$root/etc/prometheus" "$root/prometheus"
add "$root" prometheus bin/prometheus
add "$root" promtool bin/promtool
tar --file "$root.tar" --directory "$root" --numeric-owner --create --owner 0 --group 0 \
    --exclude ./prometheus .
tar --file "$root.tar" --directory "$root" --numeric-owner --append --owner 65534 --group 65534 \
    ./prometheus
docker import --change 'USER 65534' --change 'WORKDIR /prometheus' --change 'EXPOSE 9090' \
    --change 'ENTRYPOINT ["/bin/prometheus"]' "$root.tar" "$prometheus"

root=$work/exporter
lay "$root"
add "$root" prometheus-redis-exporter redis_exporter
tar --file "$root.tar" --directory "$root" --numeric-owner --create --owner 0 --group 0 .
docker import --change 'USER 59000:59000' --change 'EXPOSE 9121' \
    --change 'ENTRYPOINT ["/redis_exporter"]' "$root.tar" "$exporter"
