# What the scripts of the backends share; sourced. Each of them is one backend and takes `up`, `down` or `env`.
#
#     SERVICES_DIR   programs, data, logs and process ids (default: target/services)
#     INSTANCE       several sets of backends beside each other: each has a directory and needs ports of its own
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
services=${SERVICES_DIR:-$target/services}
state=$services/${INSTANCE:-main}

# Everything for people goes to standard error: standard output is the environment.
say() { printf 'services: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# need COMMAND PACKAGE: installs the Debian package unless the command is there. What it starts by itself is kept from starting.
need() {
    if [ -n "$(PATH=$PATH:/usr/sbin command -v "$1" || true)" ]; then return; fi
    command -v apt-get >/dev/null || fail "$1 is missing and this is no Debian or Ubuntu: install it by hand"
    say "installing $2"
    mkdir -p "$services"
    {
        as_root apt-get update -qq &&
            as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "$2"
    } >>"$services/apt.log" 2>&1 || fail "$2 can't be installed, see $services/apt.log"
}

# --- processes -------------------------------------------------------------------------------------------------------

# The time a process began, in ticks: together with its id it names a process for good.
born() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# running NAME: whether the process that was started under this name lives.
running() {
    local id birth
    read -r id birth 2>/dev/null <"$state/$1.pid" || return 1
    [ -n "$birth" ] && [ "$(born "$id")" = "$birth" ] && lives "$id"
}

# begin NAME COMMAND...: starts it, apart from this terminal.
begin() {
    local name=$1
    shift
    mkdir -p "$state"
    setsid "$@" >"$state/$name.log" 2>&1 </dev/null &
    local id=$!
    disown
    printf '%s %s\n' "$id" "$(born "$id")" >"$state/$name.pid"
}

# lives ID: what has ended and was not waited for does not.
lives() { grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status" 2>/dev/null; }

# family ID: the process and all that descend from it. PostgreSQL's have groups and sessions of their own.
family() {
    local child
    printf '%s ' "$1"
    for child in $(cat "/proc/$1"/task/*/children 2>/dev/null); do family "$child"; done
}

# signal NAME SIGNAL: to all of its family; whoever is killed is waited for.
signal() {
    local id member members _birth
    running "$1" || return 0
    read -r id _birth <"$state/$1.pid"
    members=$(family "$id")
    # shellcheck disable=SC2086 # one word an id is meant
    as_root kill "-$2" $members 2>/dev/null || true
    if [ "$2" != KILL ]; then return; fi
    for member in $members; do
        for _ in $(seq 100); do
            lives "$member" || break
            sleep 0.05
        done
        ! lives "$member" || fail "$1 can't be killed"
    done
}

# end NAME [SIGNAL]: asks the process to end and waits until it has; after 10 s all of its family is killed.
end() {
    local id _birth
    running "$1" || return 0
    read -r id _birth <"$state/$1.pid"
    as_root kill "-${2:-TERM}" "$id" 2>/dev/null || true
    # A stopped process only sees a signal when it goes on.
    signal "$1" CONT
    for _ in $(seq 100); do
        running "$1" || return 0
        sleep 0.1
    done
    signal "$1" KILL
}

# await NAME SECONDS COMMAND...: until the command succeeds; fails with one line if the process ends or the time is up.
await() {
    local name=$1 seconds=$2 deadline=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        running "$name" || fail "$name ended: $(tail -n 1 "$state/$name.log") (all of it: $state/$name.log)"
        [ $SECONDS -lt $deadline ] || fail "$name does not answer after $seconds s, see $state/$name.log"
        sleep 0.1
    done
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free PORT VARIABLE NAME: fails if something else is there already.
free() {
    if listens "$1"; then fail "$3: port $1 is taken by another program; choose another with $2"; fi
}

# to_start NAME: whether it has to be started; what runs already is used.
to_start() { ! running "$1"; }
