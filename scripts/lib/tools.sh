# shellcheck shell=bash
# The Rust toolchain, and cargo's tools: those on PATH, else compiled once per machine.
nextest_version=0.9.143
deny_version=0.20.2
tools=$cache/tools/cargo-nextest-$nextest_version/bin:$cache/tools/cargo-deny-$deny_version/bin
[[ $PATH == *"$tools"* ]] || PATH=$PATH:$tools

need_rust() {
    local wanted found
    have cargo || fail 'cargo not found' 'install a Rust toolchain: https://rustup.rs'
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    found=$(rustc --version | cut -d' ' -f2)
    printf '%s\n%s\n' "$wanted" "$found" | sort -V -C || fail "rustc $found is older than $wanted" 'rustup update stable'
}

# need_component NAME: a part of the toolchain that `cargo NAME` runs.
need_component() {
    cargo "$1" --version >/dev/null 2>&1 || { have rustup && rustup component add "${2:-$1}"; } ||
        fail "cargo $1 not found" "install the ${2:-$1} component of your Rust toolchain"
}

# need_cargo_tool NAME VERSION
need_cargo_tool() { have "$1" || locked "$1" build_cargo_tool "$1" "$2"; }
build_cargo_tool() {
    if have "$1"; then return; fi # another run built it while this one waited
    say "compiling $1 $2: some minutes, once per machine"
    cargo install --locked --quiet --root "$cache/tools/$1-$2" "$1@$2" >&2
}
