#!/bin/sh
# Brings roles and rights to what is declared, through the proxy that knows who we are. Can run any number of times.
set -eu
export PGHOST=127.0.0.1 PGPORT=5432 PGUSER="$ADMIN" PGDATABASE=postgres PGCONNECT_TIMEOUT=5
tries=0
until psql -XAtqc 'select 1' > /dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -ge 60 ]; then echo "the instance did not answer in five minutes: see the proxy's log" >&2; exit 1; fi
    sleep 5
done
exec psql -X -q -v ON_ERROR_STOP=1 -f /etc/perene/roles/roles.sql
