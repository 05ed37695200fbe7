#!/bin/sh
# Starts Prometheus with the configuration beside this file, but each target is asked over TLS.
# The copy is elsewhere, so what it names is named in full.
set -eu

here=/etc/prometheus
copy=/prometheus/over-tls.yml
sed "s,redis://,rediss://,; s,rules/,$here/&,; s,\"clients/,\"$here/clients/,g" \
    $here/prometheus.yml >$copy
for word; do  # the same arguments, but for the name of the file
    shift
    case $word in
        --config.file=*) set -- "$@" "--config.file=$copy" ;;
        *) set -- "$@" "$word" ;;
    esac
done
exec /bin/prometheus "$@"
