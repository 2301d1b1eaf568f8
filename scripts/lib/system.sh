# shellcheck shell=bash
# System packages. Each is wanted only where the thing it brings is missing.

# apt_install PACKAGE…: through apt where that is allowed, else say what to install.
apt_install() {
    [ $# -gt 0 ] || return 0
    local as_root=(env)
    [ "$(id -u)" = 0 ] || as_root=(sudo -n env)
    if ! have apt-get || ! "${as_root[@]}" true 2>/dev/null; then
        fail "missing system packages: $*" "sudo apt-get install $*"
    fi
    say "installing system packages: $*"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# build_packages PYTHON: those that the node and the environment take to build and that are missing, one per line.
# bindgen, which reads RocksDB's C header, needs libclang and the headers that come with clang.
build_packages() {
    have c++ || echo g++
    have make || echo make # for jemalloc
    have clang || echo clang
    have_libclang || echo libclang-dev
    "$1" -c 'import ensurepip, venv' 2>/dev/null ||
        "$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
}

have_libclang() {
    local found
    found=$(compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' || ldconfig -p 2>/dev/null | grep -F libclang || true)
    [ -n "$found" ] || [ -n "${LIBCLANG_PATH:-}" ]
}

# missing PACKAGE…: those that are neither a command on PATH nor installed, one per line.
missing() {
    local package
    for package in "$@"; do
        have "$package" || dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -qF 'install ok installed' || echo "$package"
    done
}
