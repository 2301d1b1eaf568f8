//! Wire and event schemas, and their conversions to the machine's types.

/// Generated code, nested as the packages are.
#[allow(missing_docs, clippy::all, rust_2018_idioms, unreachable_pub)]
mod snakepit {
    pub mod bridge {
        include!(concat!(env!("OUT_DIR"), "/snakepit.bridge.rs"));
    }
    pub mod events {
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/snakepit.events.v1.rs"));
        }
    }
    pub mod peer {
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/snakepit.peer.v1.rs"));
        }
    }
    pub mod worker {
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/snakepit.worker.v1.rs"));
        }
    }
    pub mod cluster {
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/snakepit.cluster.v1.rs"));
        }
    }
    pub mod session {
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/snakepit.session.v1.rs"));
        }
    }
}

/// The bridge protocol: what clients and Snakepit's own programs speak.
pub use snakepit::bridge;
/// For operators and auditors.
pub use snakepit::cluster::v1 as cluster;
/// The stored form of events.
pub use snakepit::events::v1 as stored;
/// Node to node.
pub use snakepit::peer::v1 as peer;
/// What sessions can do beyond the bridge protocol.
pub use snakepit::session::v1 as session;
/// Node to worker.
pub use snakepit::worker::v1 as worker;

#[cfg(feature = "grpc")]
pub mod codec;
pub mod events;
pub mod headers;
pub mod times;
#[cfg(feature = "grpc")]
pub mod transport;
pub mod values;

/// All schemas, for gRPC reflection: an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
