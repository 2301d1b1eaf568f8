//! Values of typed variables.

use num_bigint::BigInt;
use serde::{Deserialize, Serialize};

use crate::{Array, SEALED_EXTRA_BYTES};

/// A value as it was sent, before a variable's type has coerced it, or as a variable holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Value {
    /// IEEE 754 double; NaN and the infinities are values.
    Float(f64),
    /// Integer of any size.
    Integer(BigInt),
    /// UTF-8 text.
    String(String),
    /// Truth value.
    Boolean(bool),
    /// Nothing.
    Null,
    /// Bytes.
    Bytes(Vec<u8>),
    /// The text of a JSON object, as it was sent; what JSON lacks is marked as `docs/values.md` says.
    Map(String),
    /// The text of a JSON array, likewise.
    List(String),
    /// An embedding or a tensor.
    Array(Array),
    /// Any of these, encrypted under the key of a subject.
    Sealed(Sealed),
}

/// A value that a node has encrypted before it was proposed. Only who has the key can tell what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Names the key.
    pub key_id: String,
    /// What was encrypted.
    pub data: Vec<u8>,
    /// What the node has checked the value against, while it is proposed; `None` in rows and events.
    pub checked: Option<Box<Checked>>,
}

/// The type and the constraints that a sealed value fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// The type's name.
    pub type_name: String,
    /// The constraints, a JSON object or empty.
    pub constraints_json: String,
}

impl Value {
    /// Name of the value's own type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Float(_) => "float",
            Self::Integer(_) => "integer",
            Self::String(_) => "string",
            Self::Boolean(_) => "boolean",
            Self::Null => "null",
            Self::Bytes(_) => "bytes",
            Self::Map(_) => "map",
            Self::List(_) => "list",
            Self::Array(_) => "tensor",
            Self::Sealed(_) => "sealed",
        }
    }

    /// Size that counts against `value_bytes_max`, in bytes.
    pub fn size_bytes(&self) -> u64 {
        match self {
            Self::Float(_) => 8,
            Self::Integer(integer) => integer.bits().div_ceil(8).max(1),
            Self::String(text) | Self::Map(text) | Self::List(text) => text.len() as u64,
            Self::Boolean(_) | Self::Null => 1,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Array(array) => array.data.len() as u64 + 8 * array.shape.len() as u64,
            Self::Sealed(sealed) => (sealed.data.len() as u64).saturating_sub(SEALED_EXTRA_BYTES),
        }
    }
}

impl PartialEq for Value {
    /// Floats are equal where their bits are, so that rows with NaN compare equal on all nodes.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::String(a), Self::String(b))
            | (Self::Map(a), Self::Map(b))
            | (Self::List(a), Self::List(b)) => a == b,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Null, Self::Null) => true,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Sealed(a), Self::Sealed(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}
