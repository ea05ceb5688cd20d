#!/usr/bin/env bash
# A Redis cluster of three masters, without replicas.
source "$(dirname "$0")/lib.sh"
first=${REDIS_CLUSTER_PORT:-7391}
ports=("$first" $((first + 1)) $((first + 2)))

answers() { [ "$(redis-cli -h 127.0.0.1 -p "$1" ping)" = PONG ]; }
# Every node knows all slots, not just the one that was asked to join them.
whole() {
    local port
    for port in "${ports[@]}"; do
        redis-cli -h 127.0.0.1 -p "$port" cluster info | tr -d '\r' | grep -qx 'cluster_state:ok' || return 1
        [ "$(redis-cli -h 127.0.0.1 -p "$port" cluster nodes | grep -c ' connected ')" = 3 ] || return 1
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
            begin "$name" redis-server --bind 127.0.0.1 --port "$port" --dir "$state/$name" --save '' --appendonly no \
                --daemonize no --cluster-enabled yes --cluster-node-timeout 5000
        fi
    done
    for port in "${ports[@]}"; do await "redis-cluster-$port" 20 answers "$port"; done
    if ! whole; then
        # shellcheck disable=SC2046 # one word an address is meant
        redis-cli --cluster create $(printf '127.0.0.1:%s ' "${ports[@]}") --cluster-yes \
            >"$state/redis-cluster-create.log" 2>&1 || true
    fi
    await "redis-cluster-$first" 30 whole
    ;;
down) for port in "${ports[@]}"; do end "redis-cluster-$port"; done ;;
env) echo "export REDIS_CLUSTER_URL=$(printf 'redis://127.0.0.1:%s,' "${ports[@]}" | sed 's/,$//')" ;;
*) fail "usage: $0 up|down|env" ;;
esac
