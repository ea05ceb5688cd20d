#!/usr/bin/env bash
# Redis, and a way to the MongoDB-compatible server, over TLS: with certificates of a CA that nobody knows but who is told.
source "$(dirname "$0")/lib.sh"
redis=${REDIS_TLS_PORT:-6391}
mongo=${MONGODB_TLS_PORT:-27091}
# The server behind, its login and options: those of MONGODB_URI, or what documentdb.sh starts.
plain=${MONGODB_URI:-mongodb://127.0.0.1:${MONGODB_PORT:-27090}}
authority=${plain#*://}
authority=${authority%%[/?]*}
login=
if [[ $authority == *@* ]]; then login=${authority%@*}@; fi
behind=${authority##*@}
behind=${behind%%,*}
if [[ $behind != *:* ]]; then behind=$behind:27017; fi
options=
if [[ $plain == *\?* ]]; then options="&${plain#*\?}"; fi
certificates=$state/tls

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$1"; }
make_certificates() {
    mkdir -p "$certificates.new"
    cd "$certificates.new"
    key ca.key
    openssl req -x509 -new -key ca.key -days 3650 -subj '/CN=CA of the tests' -out ca.crt \
        -addext 'keyUsage=critical,keyCertSign'
    key server.key
    openssl req -new -key server.key -subj '/CN=localhost' -out server.csr
    printf 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n' >extensions
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -extfile extensions -out server.crt
    cat server.crt server.key >server.pem
    mv "$certificates.new" "$certificates"
}
answers() { [ "$(redis-cli --tls --cacert "$certificates/ca.crt" -h localhost -p "$redis" ping)" = PONG ]; }

case ${1:-} in
up)
    need redis-server redis-server
    need openssl openssl
    need socat socat
    mkdir -p "$state"
    if [ ! -d "$certificates" ]; then
        rm -rf "$certificates.new"
        (make_certificates) >"$state/tls.log" 2>&1 || fail "certificates can't be made, see $state/tls.log"
    fi
    if to_start redis-tls; then
        free "$redis" REDIS_TLS_PORT tls
        mkdir -p "$state/redis-tls"
        begin redis-tls redis-server --bind 127.0.0.1 --port 0 --tls-port "$redis" --dir "$state/redis-tls" --save '' \
            --appendonly no --daemonize no --tls-auth-clients no --tls-ca-cert-file "$certificates/ca.crt" \
            --tls-cert-file "$certificates/server.crt" --tls-key-file "$certificates/server.key"
    fi
    if to_start mongo-tls; then
        free "$mongo" MONGODB_TLS_PORT tls
        begin mongo-tls socat "OPENSSL-LISTEN:$mongo,bind=127.0.0.1,fork,reuseaddr,verify=0,cert=$certificates/server.pem" \
            "TCP:$behind"
    fi
    await redis-tls 20 answers
    await mongo-tls 20 listens "$mongo"
    ;;
down)
    end mongo-tls
    end redis-tls
    ;;
env)
    echo "export REDIS_TLS_URL=rediss://localhost:$redis"
    printf 'export MONGODB_TLS_URI=%q\n' "mongodb://${login}localhost:$mongo/chatterbox?tls=true&directConnection=true$options"
    echo "export TLS_CA=$certificates/ca.crt"
    ;;
*) fail "usage: $0 up|down|env" ;;
esac
