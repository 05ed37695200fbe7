#!/bin/sh
# Takes a backup of the group into BACKUP_DIR, ./backup unless the environment or .env says
# otherwise: `sahool-cache backup`, from this host, fit for cron. Exit status 0 taken, 1 taken but
# older ones could not be removed, 2 not taken.
set -u
. "$(dirname "$0")/from-host.sh"
_said BACKUP_DIR || value=./backup
sahool_cache backup "$value" "$@"
