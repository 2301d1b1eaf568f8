//! Values on the bridge: an `Any` whose `value` is UTF-8 JSON and whose `type_url` only names the type, and a
//! payload of bytes beside it. `docs/values.md` is the contract.
//!
//! Both generations of Snakepit put JSON there; a client that packs real protobuf wrappers
//! (`google.protobuf.StringValue` and its kin) is understood too.

mod arrays;
mod plain;
mod read;
mod text;
mod write;

pub use plain::{is_raw, without_raw};
pub use read::decode;
pub use write::{Arrays, encode, to_json_text};

/// What stands before a type's name in a `type_url`.
pub const TYPE_URL_PREFIX: &str = "type.googleapis.com/snakepit.";
/// Levels of maps and lists in one value at most.
pub const DEPTH_MAX: usize = 100;

/// A value that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadValue(pub String);

impl From<String> for BadValue {
    fn from(message: String) -> Self {
        Self(message)
    }
}

#[cfg(test)]
mod tests;
