#!/bin/sh
# Runs before every start of Redis: users from the Secrets, and a volume from which the data really is read.
# Redis itself starts EMPTY, without an error, from a snapshot with `appendonly yes` and no append-only directory, and from a directory
# without its manifest; and it ignores a snapshot that lies beside an old directory.
set -eu
umask 077
SECRETS=${SECRETS:-/etc/perene/secrets}
CONFIG=${CONFIG:-/etc/perene/config}
RUN=${RUN:-/run/redis}

{
    echo "user default reset off"
    while read -r user rules; do
        echo "user $user reset on #$(sha256sum < "$SECRETS/$user/password" | cut -d ' ' -f 1) $rules"
    done < "$CONFIG/users"
} > "$RUN/users.acl"
if [ "$MODE" = cache ]; then exit 0; fi

. "$CONFIG/volume.sh"
writable
same_server redis "$MAJOR"
log=$DATA/appendonlydir
manifest=$log/appendonly.aof.manifest

# A restore leaves its snapshot here. What was there is set aside as a whole, so that no old log undoes the restore.
if [ -e "$VOLUME/restore.rdb" ]; then
    redis-check-rdb "$VOLUME/restore.rdb" > "$RUN/check" || { cat "$RUN/check" >&2; refuse "has a restore.rdb that is damaged." "Nothing was changed."; }
    if [ -n "$(ls -A "$DATA")" ]; then mv "$DATA" "$VOLUME/before-restore-$(date -u +%Y%m%dT%H%M%SZ)"; fi
    mkdir -p "$DATA"
    mv "$VOLUME/restore.rdb" "$DATA/dump.rdb"
    sync
elif [ -e "$manifest" ]; then
    while read -r _ file _; do
        [ -e "$log/$file" ] || refuse "lacks $file, which its manifest names." "Restore into the next generation; the rest of the log is incomplete without it."
    done < "$manifest"
    not_lost "$manifest"
    exit 0
elif [ -d "$log" ] && [ -n "$(ls -A "$log")" ]; then
    refuse "has an append-only log without its manifest." "Redis would start empty beside it and report nothing. Restore into the next generation."
elif [ ! -e "$DATA/dump.rdb" ]; then
    not_lost "$manifest"
    exit 0
fi

# Only a snapshot: read it without the log, and have the log written from what was read.
socket=$RUN/load.sock
ask() { redis-cli -s "$socket" "$@"; }
redis-server --port 0 --unixsocket "$socket" --dir "$DATA" --dbfilename dump.rdb --save "" --appendonly no --daemonize no --logfile "" &
server=$!
until said=$(ask ping 2>&1) && [ "$said" = PONG ]; do
    kill -0 "$server" 2> /dev/null || refuse "has a snapshot that Redis does not read." "Nothing was changed: redis-check-rdb $DATA/dump.rdb says where."
    sleep 0.2
done
ask config set appendonly yes > /dev/null
until ask info persistence | grep -q '^aof_rewrite_in_progress:0' && ask info persistence | grep -q '^aof_rewrite_scheduled:0'; do sleep 0.2; done
ask info persistence | grep -q '^aof_last_bgrewrite_status:ok' || refuse "took no append-only log from the snapshot: see above."
ask shutdown nosave || true
wait "$server" || true
[ -e "$manifest" ] || refuse "has no append-only log after the snapshot was read: see above."
: > "$VOLUME/held"
