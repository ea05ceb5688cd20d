#!/usr/bin/env bash
# Two Redis servers, one of them the other's replica, and a sentinel that names the primary. Which of the two that is
# changes when a test asks the sentinel for it, or kills the one that was the first (`signal`).
source "$(dirname "$0")/lib.sh"
port=${REDIS_SENTINEL_PORT:-26390}
# Of the sentinel alone, as many operators have it.
secret=only-for-tests-on-loopback
first=$((port + 1))
second=$((port + 2))

answers() { [ "$(redis-cli -h 127.0.0.1 -p "$1" ping)" = PONG ]; }
linked() { redis-cli -h 127.0.0.1 -p "$second" info replication | tr -d '\r' | grep -qx 'master_link_status:up'; }
sentinel() { REDISCLI_AUTH=$secret redis-cli -h 127.0.0.1 -p "$port" "$@"; }
sentinel_answers() { [ "$(sentinel ping)" = PONG ]; }
# The sentinel knows both, and could make the replica the primary.
whole() {
    sentinel sentinel replicas main | tr -d '\r' | grep -qx 'slave' && sentinel sentinel ckquorum main | grep -q '^OK'
}

server() {
    local name=$1 own=$2
    shift 2
    if ! to_start "$name"; then return; fi
    free "$own" REDIS_SENTINEL_PORT redis_sentinel
    mkdir -p "$state/$name"
    begin "$name" redis-server --bind 127.0.0.1 --port "$own" --dir "$state/$name" --save '' --appendonly no \
        --daemonize no --repl-diskless-sync-delay 0 "$@"
    await "$name" 20 answers "$own"
}

case ${1:-} in
up)
    need redis-server redis-server
    if to_start redis-sentinel; then
        # From the beginning: what an earlier life decided would be in the way.
        for name in redis-first redis-second; do signal "$name" KILL; done
        server redis-first "$first"
        server redis-second "$second" --replicaof 127.0.0.1 "$first"
        await redis-second 20 linked
        free "$port" REDIS_SENTINEL_PORT redis_sentinel
        mkdir -p "$state/redis-sentinel"
        cat >"$state/redis-sentinel/conf" <<CONF
bind 127.0.0.1
port $port
dir $state/redis-sentinel
requirepass $secret
sentinel monitor main 127.0.0.1 $first 1
sentinel down-after-milliseconds main 1000
sentinel failover-timeout main 5000
CONF
        begin redis-sentinel redis-server "$state/redis-sentinel/conf" --sentinel
        await redis-sentinel 20 sentinel_answers
    else
        # One that was killed comes back empty; the sentinel makes it the other's replica.
        server redis-first "$first"
        server redis-second "$second"
    fi
    await redis-sentinel 30 whole
    ;;
down) for name in redis-sentinel redis-first redis-second; do end "$name"; done ;;
signal) signal redis-first "$2" ;;
forget)
    for name in redis-sentinel redis-first redis-second; do signal "$name" KILL; done
    rm -rf "${state:?}"
    ;;
env) echo "export REDIS_SENTINEL_URL=redis+sentinel://127.0.0.1:$port/main?sentinel-password=$secret" ;;
*) fail "usage: $0 up|down|signal NAME|forget|env" ;;
esac
