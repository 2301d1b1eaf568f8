# shellcheck shell=bash
# RocksDB takes ten to twenty-five minutes to compile on two cores. It is compiled once per machine, and every
# cargo call (any profile, any clone) links that one library. Cargo builds crates again when ROCKSDB_*
# changes, so all of them get it from here: scripts by `use_rocksdb`, people by `eval "$(scripts/env)"`.

# Where the library is: its name stands for all that it depends on.
rocksdb_dir() {
    local version
    version=$(rocksdb_version)
    [ -n "$version" ] || fail 'no librocksdb-sys in Cargo.lock' 'cargo generate-lockfile'
    printf '%s/rocksdb-%s-%s\n' "$cache" "$version" "$(
        { rocksdb_line; "${CXX:-c++}" --version | head -n 1; uname -m; echo "${CXXFLAGS:-} $(rocksdb_rustflags)${CARGO_ENCODED_RUSTFLAGS:-}${CARGO_BUILD_RUSTFLAGS:-}"; } | digest
    )"
}
rocksdb_version() { sed -n '/^name = "librocksdb-sys"$/{n;s/^version = "\(.*\)"$/\1/p}' Cargo.lock 2>/dev/null || true; }
rocksdb_line() { grep '^rocksdb = ' Cargo.toml; }

# RocksDB's checksums take a processor's own instructions only if it is compiled for them (SSE 4.2 and PCLMUL:
# Intel's processors since 2010, AMD's since 2011); the crate's build script hands them on from here.
rocksdb_rustflags() {
    local own=
    # Who gives flags to cargo in another way keeps those.
    if [ -z "${CARGO_ENCODED_RUSTFLAGS:-}${CARGO_BUILD_RUSTFLAGS:-}" ] &&
        grep -qsw sse4_2 /proc/cpuinfo && grep -qsw pclmulqdq /proc/cpuinfo; then
        own='-C target-feature=+sse4.2,+pclmulqdq'
    fi
    echo "$own${RUSTFLAGS:+ $RUSTFLAGS}"
}

use_rocksdb() {
    ROCKSDB_LIB_DIR=$(rocksdb_dir)
    [ -f "$ROCKSDB_LIB_DIR/librocksdb.a" ] || locked rocksdb build_rocksdb "$ROCKSDB_LIB_DIR"
    export ROCKSDB_LIB_DIR ROCKSDB_STATIC=1
}

# build_rocksdb DIR: with the crate's own build script, in a throw-away project that has our lock file.
# Holds the lock: nobody else is in the building directory, and what a killed run left there can go.
build_rocksdb() {
    if [ -f "$1/librocksdb.a" ]; then return; fi # another run built it while this one waited
    say 'compiling RocksDB: ten to twenty-five minutes on two cores, once per machine'
    local work=$cache/rocksdb.building flags
    flags=$(rocksdb_rustflags)
    rm -rf "$work" "$1" && mkdir -p "$work/src" "$work/out"
    cp Cargo.lock "$work/" && touch "$work/src/lib.rs"
    printf '[package]\nname = "rocksdb-once"\nedition = "2024"\n[dependencies]\n%s\n[workspace]\n' "$(rocksdb_line)" >"$work/Cargo.toml"
    (cd "$work" && env -u ROCKSDB_LIB_DIR -u ROCKSDB_STATIC -u ROCKSDB_COMPILE ${flags:+"RUSTFLAGS=$flags"} \
        cargo build --release --target-dir target >&2)
    cp "$work"/target/release/build/librocksdb-sys-*/out/librocksdb.a "$work/out/"
    sync "$work/out/librocksdb.a" && mv -T "$work/out" "$1" && rm -rf "$work"
}
