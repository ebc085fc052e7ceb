#!/bin/sh
# Brings roles, databases and rights to what is declared. Can run any number of times.
set -eu
umask 077
export PGHOST="$HOST" PGPORT=5432 PGUSER=admin PGDATABASE=postgres PGSSLMODE=verify-full PGCONNECT_TIMEOUT=5
export PGSSLROOTCERT=/etc/perene/secrets/tls/ca.crt PGPASSFILE=/tmp/pgpass
# A backslash or colon in a password would end the field.
printf '*:*:*:admin:%s\n' "$(sed 's/[\\:]/\\&/g' /etc/perene/secrets/admin/password)" > "$PGPASSFILE"
tries=0
until psql -XAtqc 'select 1' > /dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -ge 60 ]; then echo "the server did not answer in five minutes: see its own log" >&2; exit 1; fi
    sleep 5
done
exec psql -X -q -v ON_ERROR_STOP=1 -f /etc/perene/roles/roles.sql
