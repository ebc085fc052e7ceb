#!/bin/sh
# Brings virtual hosts, users, rights and quorum queues to what is declared. Can run any number of times.
set -eu
umask 077
SECRETS=${SECRETS:-/etc/perene/secrets}
ROLES=${ROLES:-/etc/perene/roles}
export HOME="${HOME:-/tmp}"
# A password on a command line could be read by others of the node: curl takes it from a file.
printf 'user = "admin:%s"\ncacert = "%s"\nsilent\nshow-error\nfail-with-body\nmax-time = 20\n' \
    "$(cat "$SECRETS/admin/password")" "$SECRETS/tls/ca.crt" > "$HOME/curl"
ask() { # method path body
    printf '%s' "$3" | curl --config "$HOME/curl" --request "$1" --header 'content-type: application/json' --data-binary @- "https://$HOST:$PORT/api/$2"
}
tries=0
until curl --config "$HOME/curl" --output /dev/null "https://$HOST:$PORT/api/overview"; do
    tries=$((tries + 1))
    if [ "$tries" -ge 60 ]; then echo "the server did not answer in five minutes: see its own log" >&2; exit 1; fi
    sleep 5
done
# Paths come encoded (`/` is %2F); a body that is a right's word gets the user's password.
while IFS=' ' read -r what path body; do
    case $what in
        vhost) ask PUT "vhosts/$path" "$body" ;;
        user) ask PUT "users/$path" "{\"password\":\"$(cat "$SECRETS/$path/password")\",\"tags\":\"$body\"}" ;;
        permission) ask PUT "permissions/$path" "$body" ;;
        queue) ask PUT "queues/$path" "$body" ;;
    esac || { echo "$what $path was refused" >&2; exit 1; }
done < "$ROLES/roles"
