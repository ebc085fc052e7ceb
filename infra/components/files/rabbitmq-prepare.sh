#!/bin/sh
# Runs before every start of RabbitMQ: the admin's password, a cookie for this pod alone, and the volume of this very node.
set -eu
CONFIG=${CONFIG:-/etc/perene/config}
SECRETS=${SECRETS:-/etc/perene/secrets}
RUN=${RUN:-/run/rabbitmq}
. "$CONFIG/volume.sh"
writable
same_server rabbitmq "$MAJOR"
# Under another node name RabbitMQ starts an empty broker beside the data.
for node in "$DATA"/*@*; do
    name=${node##*/}
    case $name in
        "$RABBITMQ_NODENAME" | "$RABBITMQ_NODENAME"-*) ;;
        "*@*") ;;
        *) refuse "holds the node ${name%%-*}, this is $RABBITMQ_NODENAME." "It would start an empty broker. Nothing was changed." ;;
    esac
done
not_lost "$DATA/$RABBITMQ_NODENAME"
mkdir -p "$RUN/conf.d"
printf 'default_user = admin\ndefault_pass = %s\n' "$(cat "$SECRETS/admin/password")" > "$RUN/conf.d/10-admin.conf"
# A pod whose sandbox is made anew keeps its directories: the cookie of before cannot be written over.
rm -f "$RUN/.erlang.cookie"
head -c 24 /dev/urandom | base64 | tr -dc 'A-Za-z0-9' > "$RUN/.erlang.cookie"
chmod 0400 "$RUN/.erlang.cookie"
