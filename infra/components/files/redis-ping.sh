#!/bin/sh
# Whether Redis answers and has its data: while it loads, PING is answered with LOADING.
REDISCLI_AUTH=$(cat /etc/perene/secrets/admin/password)
export REDISCLI_AUTH
[ "$(redis-cli -s "$RUN/redis.sock" --user admin --no-auth-warning ping)" = PONG ]
