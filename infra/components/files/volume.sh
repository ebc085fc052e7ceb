# Sourced by the prepare scripts of Redis, Qdrant, RabbitMQ and file volumes. VOLUME: where the volume is mounted.
# "Corrupted" data usually means a volume that could not be written: what is wrong with it is said here, before the server says less.
set -eu
umask 077
MOUNTS=${MOUNTS:-/proc/self/mounts}
DATA=$VOLUME/data

refuse() {
    echo "refused: the volume $1" >&2
    shift
    for line in "$@"; do echo "$line" >&2; done
    exit 1
}

mounted() {
    while read -r _ at _; do
        if [ "$at" = "$VOLUME" ]; then return 0; fi
    done < "$MOUNTS"
    return 1
}

writable() {
    mounted || refuse "is not mounted at $VOLUME." "Everything would be written into the container and be gone with it. Look at the pod's volumes."
    if ! said=$( { echo written > "$VOLUME/.writable" && sync "$VOLUME/.writable" && rm "$VOLUME/.writable"; } 2>&1); then
        refuse "cannot be written: $said" \
            "It belongs to $(stat -c '%u:%g, mode %a' "$VOLUME"); this process is $(id -u):$(id -g)." \
            "A server on such a volume reports corrupted or missing data although nothing is lost: mend the owner, the mount or the space first."
    fi
}

# Which server made the volume, and whether data was ever in it. Neither is ever deleted here.
same_server() { # kind version
    if [ -e "$VOLUME/made-by" ]; then
        found=$(cat "$VOLUME/made-by")
        if [ "$found" != "$1 $2" ]; then
            refuse "was made by $found, this image is $1 $2." "An upgrade is a restore into the next generation."
        fi
    elif [ -d "$DATA" ] && [ -n "$(ls -A "$DATA")" ]; then
        refuse "holds data in $DATA that nobody signed." "Nothing was changed: look at it before anything else."
    fi
    mkdir -p "$DATA"
    chmod 0700 "$DATA"
    echo "$1 $2" > "$VOLUME/made-by.new"
    sync "$VOLUME/made-by.new"
    mv "$VOLUME/made-by.new" "$VOLUME/made-by"
}

not_lost() { # file that every start leaves
    if [ -e "$1" ]; then
        : > "$VOLUME/held"
    elif [ -e "$VOLUME/held" ]; then
        refuse "once held data, and ${1#"$VOLUME"/} is gone." \
            "An empty start would hide the loss. Restore into the next generation; if it really shall start empty, remove $VOLUME/held."
    fi
}
