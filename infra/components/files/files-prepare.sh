#!/bin/sh
# Makes the directories of a file volume as the application's own user, and says what is wrong with the volume where it cannot.
set -eu
CONFIG=${CONFIG:-/etc/perene/config}
. "$CONFIG/volume.sh"
writable
umask 007
for directory in $DIRECTORIES; do
    mkdir -p "$VOLUME/$directory"
    chmod "$MODE" "$VOLUME/$directory"
done
