//! `integer`: of any size. `min` and `max` are inclusive.

use std::cmp::Ordering;

use num_bigint::BigInt;
use num_traits::FromPrimitive;

use super::{Constraints, VariableType};
use crate::Value;

pub(super) struct Integer;

impl VariableType for Integer {
    fn name(&self) -> &'static str {
        "integer"
    }

    fn coerce(&self, value: Value) -> Result<Value, String> {
        match value {
            Value::Integer(integer) => Ok(Value::Integer(integer)),
            Value::Float(number) if number.is_finite() && number.fract() == 0.0 => {
                BigInt::from_f64(number)
                    .map(Value::Integer)
                    .ok_or_else(|| "must be an integer".to_owned())
            }
            Value::Float(number) => Err(format!("must be a whole number, got {number:?}")),
            _ => Err("must be an integer".into()),
        }
    }

    fn check(&self, value: &Value, constraints: &Constraints) -> Result<(), String> {
        let Value::Integer(integer) = value else {
            return Err("must be an integer".into());
        };
        if let Some(min) = constraints.number("min")?
            && min.compare_integer(integer) == Ordering::Less
        {
            return Err(format!("value {integer} is below minimum {min}"));
        }
        if let Some(max) = constraints.number("max")?
            && max.compare_integer(integer) == Ordering::Greater
        {
            return Err(format!("value {integer} is above maximum {max}"));
        }
        Ok(())
    }
}
