//! `map`, `list`, `null` and `bytes`: taken as they are, without constraints.

use super::{Constraints, VariableType};
use crate::Value;

/// A type of which every value is taken, and no other.
pub(super) struct Plain {
    pub(super) name: &'static str,
    pub(super) takes: fn(&Value) -> bool,
    pub(super) refusal: &'static str,
}

impl VariableType for Plain {
    fn name(&self) -> &'static str {
        self.name
    }

    fn coerce(&self, value: Value) -> Result<Value, String> {
        if (self.takes)(&value) {
            Ok(value)
        } else {
            Err(self.refusal.to_owned())
        }
    }

    fn check(&self, _value: &Value, _constraints: &Constraints) -> Result<(), String> {
        Ok(())
    }
}

pub(super) static MAP: Plain = Plain {
    name: "map",
    takes: |value| matches!(value, Value::Map(_)),
    refusal: "must be a map",
};
pub(super) static LIST: Plain = Plain {
    name: "list",
    takes: |value| matches!(value, Value::List(_)),
    refusal: "must be a list",
};
pub(super) static NULL: Plain = Plain {
    name: "null",
    takes: |value| matches!(value, Value::Null),
    refusal: "must be null",
};
pub(super) static BYTES: Plain = Plain {
    name: "bytes",
    takes: |value| matches!(value, Value::Bytes(_)),
    refusal: "must be bytes",
};
