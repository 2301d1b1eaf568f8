//! Generates code from the schemas, without `protoc`.

use std::path::PathBuf;

use prost::Message as _;

const FILES: &[&str] = &[
    "snakepit_bridge.proto",
    "snakepit/events/v1/events.proto",
    "snakepit/peer/v1/peer.proto",
    "snakepit/worker/v1/worker.proto",
    "snakepit/cluster/v1/cluster.proto",
    "snakepit/session/v1/session.proto",
];

fn main() {
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["."])
        .unwrap_or_else(|error| panic!("the schemas do not compile: {error:?}"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())
        .expect("OUT_DIR can be written");
    let services = std::env::var_os("CARGO_FEATURE_GRPC").is_some();
    tonic_prost_build::configure()
        .build_client(services)
        .build_server(services)
        // Channels are made by their users; and a call named Connect would clash with it.
        .build_transport(false)
        .codec_path("crate::codec::Codec")
        .btree_map(".")
        .bytes(".")
        .compile_fds(descriptors)
        .expect("the schemas generate code");
}
