#!/bin/sh
# Runs before every start. Makes the data directory once, and refuses one that this server must not touch.
set -eu
volume=/var/lib/perene
data=$volume/data
new=$volume/data.new

if [ -e "$data/PG_VERSION" ]; then
    found=$(cat "$data/PG_VERSION")
    if [ "$found" != "$MAJOR" ]; then
        echo "refused: the volume holds PostgreSQL $found, this image is $MAJOR. A major upgrade is a restore into the next generation." >&2
        exit 1
    fi
    family=$(cat "$volume/family" 2>/dev/null || echo unknown)
    if [ "$family" != "$FAMILY" ]; then
        echo "refused: the volume was made by image family '$family', this image is '$FAMILY'." >&2
        echo "Another family sorts text differently, and every index on text would be wrong. Restore into the next generation." >&2
        exit 1
    fi
    # A remount with fsGroup makes the directory group-writable, and the server refuses to start on it.
    chmod 0700 "$data"
    exit 0
fi

if [ -d "$data" ] && [ -n "$(ls -A "$data")" ]; then
    echo "refused: $data is not empty and holds no PG_VERSION. Nothing was changed: look at the volume before anything else." >&2
    exit 1
fi

# Made beside its place and renamed as a whole: an interrupted start leaves either nothing or everything.
rm -rf "$new"
initdb --pgdata="$new" --username=admin --pwfile=/etc/perene/secrets/admin/password --auth=scram-sha-256 --data-checksums \
    --encoding=UTF8 --locale=C.UTF-8 --locale-provider=builtin --builtin-locale=C.UTF-8 --no-instructions
echo "$FAMILY" > "$volume/family"
rm -rf "$data"
mv "$new" "$data"
sync
