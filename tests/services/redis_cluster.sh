#!/usr/bin/env bash
# A Redis cluster of three masters, and a replica for each of them with REDIS_CLUSTER_REPLICAS=1.
source "$(dirname "$0")/lib.sh"
first=${REDIS_CLUSTER_PORT:-7391}
replicas=${REDIS_CLUSTER_REPLICAS:-0}
count=$((3 * (replicas + 1)))
mapfile -t ports < <(seq "$first" $((first + count - 1)))

answers() { [ "$(redis-cli -h 127.0.0.1 -p "$1" ping)" = PONG ]; }
# Every node knows all slots and all others, not just the one that was asked to join them.
whole() {
    local port nodes
    for port in "${ports[@]}"; do
        redis-cli -h 127.0.0.1 -p "$port" cluster info | tr -d '\r' | grep -qx 'cluster_state:ok' || return 1
        nodes=$(redis-cli -h 127.0.0.1 -p "$port" cluster nodes)
        [ "$(grep -c ' connected' <<<"$nodes")" = "$count" ] || return 1
        [ "$(grep -c 'slave' <<<"$nodes")" = $((count - 3)) ] || return 1
        # A replica that has not copied its master yet could not take its place.
        if redis-cli -h 127.0.0.1 -p "$port" info replication | tr -d '\r' | grep -qx 'master_link_status:down'; then
            return 1
        fi
    done
}

case ${1:-} in
up)
    need redis-server redis-server
    for port in "${ports[@]}"; do
        name=redis-cluster-$port
        if to_start "$name"; then
            free "$port" REDIS_CLUSTER_PORT redis_cluster
            # What another life of the node thought of the others would be in the way.
            rm -rf "${state:?}/$name"
            mkdir -p "$state/$name"
            # The port on which nodes talk is said, because the usual one (10000 above) may be among those that the system
            # gives to clients.
            begin "$name" redis-server --bind 127.0.0.1 --port "$port" --dir "$state/$name" --save '' --appendonly no \
                --daemonize no --cluster-enabled yes --cluster-node-timeout 5000 --cluster-port $((port + count)) \
                --repl-diskless-sync-delay 0
        fi
    done
    for port in "${ports[@]}"; do await "redis-cluster-$port" 20 answers "$port"; done
    if ! whole; then
        # shellcheck disable=SC2046 # one word an address is meant
        redis-cli --cluster create $(printf '127.0.0.1:%s ' "${ports[@]}") --cluster-replicas "$replicas" --cluster-yes \
            >"$state/redis-cluster-create.log" 2>&1 || true
    fi
    await "redis-cluster-$first" 30 whole
    ;;
down) for port in "${ports[@]}"; do end "redis-cluster-$port"; done ;;
signal) signal "redis-cluster-$first" "$2" ;;
forget)
    # Whatever ports it had.
    for name in "$state"/redis-cluster-*.pid; do signal "$(basename "$name" .pid)" KILL; done
    rm -rf "${state:?}"
    ;;
env) echo "export REDIS_CLUSTER_URL=$(printf 'redis://127.0.0.1:%s,' "${ports[@]}" | sed 's/,$//')" ;;
*) fail "usage: $0 up|down|signal NAME|forget|env" ;;
esac
