#!/usr/bin/env bash
# One Redis without persistence: killed, it comes back empty, which is the harder case.
source "$(dirname "$0")/lib.sh"
port=${REDIS_PORT:-6390}

answers() { [ "$(redis-cli -h 127.0.0.1 -p "$port" ping)" = PONG ]; }

case ${1:-} in
up)
    need redis-server redis-server
    if to_start redis; then
        free "$port" REDIS_PORT redis
        mkdir -p "$state/redis"
        begin redis redis-server --bind 127.0.0.1 --port "$port" --dir "$state/redis" --save '' --appendonly no \
            --daemonize no
    fi
    await redis 20 answers
    ;;
down) end redis ;;
signal) signal redis "$2" ;;
forget)
    signal redis KILL
    rm -rf "${state:?}"
    ;;
env) echo "export REDIS_URL=redis://127.0.0.1:$port" ;;
*) fail "usage: $0 up|down|signal NAME|forget|env" ;;
esac
