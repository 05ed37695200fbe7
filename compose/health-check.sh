#!/bin/sh
# Whether the group can be used: `sahool-cache health`, from this host. Exit status 0 well,
# 1 degraded, 2 down.
set -u
. "$(dirname "$0")/from-host.sh"
sahool_cache health "$@"
