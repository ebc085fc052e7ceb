#!/bin/sh
# Runs beside the server's start: once its own file is there, the volume is marked, and no later start may be an empty one.
tries=0
until [ -e "$HOLDS" ]; do
    tries=$((tries + 1))
    if [ "$tries" -ge 600 ]; then exit 0; fi
    sleep 1
done
: > "$VOLUME/held"
