//! `boolean`: also "true", "false", 1 and 0. It has no constraints.

use num_bigint::BigInt;
use num_traits::One;
use num_traits::Zero;

use super::{Constraints, VariableType};
use crate::Value;

pub(super) struct Boolean;

impl VariableType for Boolean {
    fn name(&self) -> &'static str {
        "boolean"
    }

    fn coerce(&self, value: Value) -> Result<Value, String> {
        let truth = match &value {
            Value::Boolean(truth) => Some(*truth),
            Value::String(text) => match text.as_str() {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
            Value::Integer(integer) if *integer == BigInt::one() => Some(true),
            Value::Integer(integer) if integer.is_zero() => Some(false),
            _ => None,
        };
        truth
            .map(Value::Boolean)
            .ok_or_else(|| "must be a boolean (true or false)".to_owned())
    }

    fn check(&self, value: &Value, _constraints: &Constraints) -> Result<(), String> {
        match value {
            Value::Boolean(_) => Ok(()),
            _ => Err("must be a boolean (true or false)".into()),
        }
    }
}
