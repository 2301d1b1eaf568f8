//! Values of typed variables.

use num_bigint::BigInt;
use serde::{Deserialize, Serialize};

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
}

impl Value {
    /// Name of the value's own type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Float(_) => "float",
            Self::Integer(_) => "integer",
            Self::String(_) => "string",
            Self::Boolean(_) => "boolean",
        }
    }

    /// Size that counts against `value_bytes_max`, in bytes.
    pub fn size_bytes(&self) -> u64 {
        match self {
            Self::Float(_) => 8,
            Self::Integer(integer) => integer.bits().div_ceil(8).max(1),
            Self::String(text) => text.len() as u64,
            Self::Boolean(_) => 1,
        }
    }
}

impl PartialEq for Value {
    /// Floats are equal where their bits are, so that rows with NaN compare equal on all nodes.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}
