#!/usr/bin/env bash
# An S3 server over a directory that checks signatures, as the ones that matter do: s3s-fs.
source "$(dirname "$0")/lib.sh"
port=${S3_PORT:-9090}
key=chatterbox-tests
secret=only-for-tests-on-loopback
# Newer ones need a newer Rust.
version=0.14.1
# Beside the tools of ./test, so that it outlives the data.
tools=$target/tools

answers() { listens "$port"; }

case ${1:-} in
up)
    if [ "$("$tools/bin/s3s-fs" --version 2>/dev/null)" != "s3s-fs $version" ]; then
        say "building s3s-fs $version, once"
        mkdir -p "$services"
        # Its dependencies have other features than ours, so it is built apart. Not optimised: it compiles in half the time.
        CARGO_TARGET_DIR=$tools/build-s3 cargo install --quiet --locked --debug --version "=$version" \
            --features binary --root "$tools" s3s-fs >"$services/s3s-fs.log" 2>&1 ||
            fail "s3s-fs can't be built, see $services/s3s-fs.log"
        rm -rf "$tools/build-s3"
    fi
    if to_start s3; then
        free "$port" S3_PORT s3
        mkdir -p "$state/s3"
        begin s3 env RUST_LOG=warn "$tools/bin/s3s-fs" --host 127.0.0.1 --port "$port" --access-key "$key" \
            --secret-key "$secret" "$state/s3"
    fi
    await s3 20 answers
    ;;
down) end s3 ;;
env)
    echo "export S3_ENDPOINT=http://127.0.0.1:$port"
    echo "export S3_ACCESS_KEY=$key"
    echo "export S3_SECRET_KEY=$secret"
    echo "export S3_REGION=us-east-1"
    ;;
*) fail "usage: $0 up|down|env" ;;
esac
