#!/usr/bin/env bash
# A server that speaks MongoDB's wire protocol: DocumentDB, an engine on PostgreSQL 18 which Debian forky carries, in a chroot
# (it needs a newer C library than Debian 12 has), behind the gateway of tests/services/gateway.
#
# The chroot is made once (about 1.5 min) and kept; each instance has data of its own, copied from a template.
source "$(dirname "$0")/lib.sh"
port=${MONGODB_PORT:-27090}
postgres_port=${DOCUMENTDB_PORT:-5490}
chroot=${SERVICES_CHROOT:-$services/forky}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
bin=/usr/lib/postgresql/18/bin
# Inside the chroot, named after the place outside.
data=/srv/instances/$(printf '%s' "$state" | sha1sum | cut -c1-16)

# In its own mount namespace, so that no mount outlives the command: a chroot with /proc in it can't be deleted safely.
inside() { as_root unshare --mount sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$chroot" "$@"; }
as_postgres() { as_root chroot --userspec=postgres:postgres "$chroot" "$@"; }

make_chroot() {
    need debootstrap debootstrap
    # Ubuntu has Debian's keys in a package.
    local keys=/usr/share/keyrings/debian-archive-keyring.gpg
    if [ ! -e "$keys" ]; then need no-such-command debian-archive-keyring; fi
    say "making a Debian forky with DocumentDB in $chroot, once"
    as_root rm -rf "$chroot"
    mkdir -p "$(dirname "$chroot")"
    # debootstraps older than forky know it under no name; sid's script makes it as well.
    as_root debootstrap --variant=minbase --keyring="$keys" forky "$chroot" "$mirror" \
        /usr/share/debootstrap/scripts/sid
    as_root sh -c 'printf "#!/bin/sh\nexit 101\n" >"$0/usr/sbin/policy-rc.d" && chmod 755 "$0/usr/sbin/policy-rc.d"' "$chroot"
    inside env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-18-documentdb
    inside apt-get clean
}

# A data directory with the extension in it, that instances copy.
make_template() {
    as_root rm -rf "$chroot/srv/template" "$chroot/srv/template.made"
    as_root mkdir -p "$chroot/srv"
    as_root chroot "$chroot" install -d -o postgres -g postgres /srv/template /srv/instances
    as_postgres "$bin/initdb" -D /srv/template -A trust -U postgres -E UTF8 --locale=C.UTF-8 --no-sync
    # Tests kill processes, not machines: what the kernel has is safe, so nothing need be flushed. Whole pages have to be
    # logged all the same: without them the extension's indexes don't survive a kill (measured: endless scans after it).
    as_postgres tee -a /srv/template/postgresql.conf >/dev/null <<'CONF'
shared_preload_libraries = 'pg_cron,pg_documentdb_core,pg_documentdb'
cron.database_name = 'postgres'
documentdb_core.enableCollation = on
dynamic_shared_memory_type = mmap
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
fsync = off
full_page_writes = on
log_min_messages = fatal
CONF
    as_postgres "$bin/pg_ctl" -D /srv/template -w -o "-p $postgres_port" -l /srv/template/log start
    local made=0
    as_postgres "$bin/psql" -h 127.0.0.1 -p "$postgres_port" -qc 'CREATE EXTENSION documentdb CASCADE' || made=$?
    as_postgres "$bin/pg_ctl" -D /srv/template -w stop
    [ $made = 0 ] && as_root mv "$chroot/srv/template" "$chroot/srv/template.made"
}

# At most one makes the chroot; the others wait for it.
prepare() {
    mkdir -p "$services"
    exec 9>"$chroot.lock"
    flock 9
    if [ ! -x "$chroot$bin/postgres" ] || [ -e "$chroot.unfinished" ]; then
        touch "$chroot.unfinished"
        make_chroot >"$services/forky.log" 2>&1 9>&- || fail "DocumentDB can't be installed: $(tail -n 1 "$services/forky.log") (all of it: $services/forky.log)"
        rm -f "$chroot.unfinished"
    fi
    if [ ! -d "$chroot/srv/template.made" ]; then
        free "$postgres_port" DOCUMENTDB_PORT documentdb
        make_template >"$services/template.log" 2>&1 9>&- || fail "DocumentDB can't be set up: $(tail -n 1 "$services/template.log") (all of it: $services/template.log)"
    fi
    exec 9>&-
}

postgres_answers() {
    as_postgres "$bin/psql" -h 127.0.0.1 -p "$postgres_port" -Atqc "select documentdb_api.binary_version()"
}
gateway_answers() { "$gateway" --ping "127.0.0.1:$port"; }

case ${1:-} in
up)
    gateway=${MONGO_GATEWAY:-$target/debug/mongo-gateway}
    [ -x "$gateway" ] || fail "$gateway is missing: cargo build -p mongo-gateway makes it"
    prepare
    if to_start postgres; then
        free "$postgres_port" DOCUMENTDB_PORT postgres
        if [ ! -d "$chroot$data" ]; then
            as_root cp -a "$chroot/srv/template.made" "$chroot$data.new"
            as_root mv "$chroot$data.new" "$chroot$data"
        fi
        # What a process that was killed has left; it is another's id by now.
        as_root rm -f "$chroot$data/postmaster.pid"
        sudo=()
        [ "$(id -u)" = 0 ] || sudo=(sudo)
        begin postgres "${sudo[@]}" chroot --userspec=postgres:postgres "$chroot" "$bin/postgres" -D "$data" -p "$postgres_port"
    fi
    await postgres 30 postgres_answers
    if to_start mongo-gateway; then
        free "$port" MONGODB_PORT mongo-gateway
        begin mongo-gateway "$gateway" --listen "127.0.0.1:$port" \
            --postgres "host=127.0.0.1 port=$postgres_port user=postgres dbname=postgres"
    fi
    await mongo-gateway 20 gateway_answers
    ;;
down)
    end mongo-gateway
    # Fast shutdown: it waits for no client.
    end postgres INT
    ;;
signal)
    signal mongo-gateway "$2"
    signal postgres "$2"
    ;;
forget)
    signal mongo-gateway KILL
    signal postgres KILL
    as_root rm -rf "${chroot:?}${data:?}"
    rm -rf "${state:?}"
    ;;
env) echo "export MONGODB_URI=mongodb://127.0.0.1:$port/chatterbox" ;;
*) fail "usage: $0 up|down|signal NAME|forget|env" ;;
esac
