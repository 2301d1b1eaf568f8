# shellcheck shell=bash
# Shared by all scripts. Leaves the shell in the root of the clone.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
# What is expensive to build and the same for every clone on a machine lives outside the clone.
# It may be deleted at any time: every script builds again what is missing.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/snakepit

say() { printf '== %s\n' "$*" >&2; }
# fail MESSAGE HINT
fail() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 1; }
have() { command -v "$1" >/dev/null; }
# Sixteen hex digits that stand for everything on standard input.
digest() { sha256sum | cut -c1-16; }
# locked NAME COMMAND…: run it while no other script on this machine holds NAME.
locked() {
    mkdir -p "$cache"
    (flock 9; shift; "$@") 9>"$cache/$1.lock"
}
# use_build debug|release: tell tests and demo which binary and which Python to run.
use_build() {
    export SNAKEPIT_BIN=${CARGO_TARGET_DIR:-$root/target}/$1/snakepit
    export SNAKEPIT_PYTHON=$root/.venv/bin/python
}

. scripts/lib/system.sh
. scripts/lib/rocksdb.sh
. scripts/lib/tools.sh
. scripts/lib/python.sh
