//! Keys of subjects: what sessions of a subject hold is encrypted before it is logged, and cannot be read any more once the
//! key is destroyed. Keys are in files of their own on each node, never in the log, the rows or a snapshot.

mod key;
mod store;

pub use self::key::{Key, KeyId, OpenError};
pub use self::store::KeyStore;
