//! `float`: IEEE 754 double. `min` and `max` are inclusive; NaN and the infinities skip both.

use std::cmp::Ordering;

use num_traits::ToPrimitive;

use super::{Constraints, VariableType};
use crate::Value;

pub(super) struct Float;

impl VariableType for Float {
    fn name(&self) -> &'static str {
        "float"
    }

    fn coerce(&self, value: Value) -> Result<Value, String> {
        let number = match value {
            Value::Float(number) => Some(number),
            Value::Integer(integer) => integer.to_f64().filter(|number| number.is_finite()),
            Value::String(text) => match text.as_str() {
                "NaN" => Some(f64::NAN),
                "Infinity" => Some(f64::INFINITY),
                "-Infinity" => Some(f64::NEG_INFINITY),
                _ => None,
            },
            _ => None,
        };
        number
            .map(Value::Float)
            .ok_or_else(|| "must be a number".to_owned())
    }

    fn check(&self, value: &Value, constraints: &Constraints) -> Result<(), String> {
        let Value::Float(number) = value else {
            return Err("must be a number".into());
        };
        if !number.is_finite() {
            return Ok(());
        }
        if let Some(min) = constraints.number("min")?
            && min.compare_float(*number) == Some(Ordering::Less)
        {
            return Err(format!("value {number:?} is below minimum {min}"));
        }
        if let Some(max) = constraints.number("max")?
            && max.compare_float(*number) == Some(Ordering::Greater)
        {
            return Err(format!("value {number:?} is above maximum {max}"));
        }
        Ok(())
    }
}
