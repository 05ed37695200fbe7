#!/bin/sh
# Restores a backup into the group: `sahool-cache restore`, from this host. Without a FILE it is the
# newest in BACKUP_DIR. Exit status 0 restored, 1 with differences, 2 not restored.
set -u
. "$(dirname "$0")/from-host.sh"
_said BACKUP_DIR || value=./backup
case "${1:--}" in
    -*) ;;
    /*) value=$1 && shift ;;
    *) value=$OLDPWD/$1 && shift ;;  # its name is meant from where the caller is
esac
sahool_cache restore "$value" "$@"
