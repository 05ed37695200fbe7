#!/bin/sh
# Restores a backup into the group: `sahool-cache restore`, from this host. Without a FILE it is the
# newest in BACKUP_DIR. Exit status 0 restored, 1 with differences, 2 not restored.
set -u
. "$(dirname "$0")/from-host.sh"
_default BACKUP_DIR ./backup
case "${1:--}" in
    -*) sahool_cache restore "$BACKUP_DIR" "$@" ;;
    /*) sahool_cache restore "$@" ;;
    *) sahool_cache restore "$OLDPWD/$@" ;;  # the file's name is meant from where the caller is
esac
