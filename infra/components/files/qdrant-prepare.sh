#!/bin/sh
# Runs before every start of Qdrant: its keys from the Secrets, and a volume that it can write.
set -eu
CONFIG=${CONFIG:-/etc/perene/config}
SECRETS=${SECRETS:-/etc/perene/secrets}
RUN=${RUN:-/run/qdrant}
. "$CONFIG/volume.sh"
writable
same_server qdrant "$VERSION"
# A restore of everything (--storage-snapshot) that was broken off leaves this directory: the next one panics on it, and a start without one
# is ready and empty.
if [ -d "$DATA/storage/snapshots_recovery_tmp" ]; then
    [ -n "$(ls -A "$DATA/storage/collections" 2>/dev/null)" ] || refuse "holds a restore that was broken off, and no collection." \
        "An empty start would hide that. Remove ${DATA#"$VOLUME"/}/storage/snapshots_recovery_tmp and restore again."
    rm -rf "$DATA/storage/snapshots_recovery_tmp"
fi
not_lost "$DATA/storage/raft_state.json"
{
    cat "$CONFIG/config.yaml"
    echo "  api_key: $(cat "$SECRETS/admin/password")"
    echo "  read_only_api_key: $(cat "$SECRETS/readonly/password")"
} > "$RUN/config.yaml"
