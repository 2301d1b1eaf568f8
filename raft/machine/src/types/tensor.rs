//! `tensor`: an array of any shape; a map with `shape` and `data` becomes one.

use serde_json::Value as Json;

use super::{Constraints, VariableType};
use crate::{Array, Value, json};

pub(super) struct Tensor;

impl VariableType for Tensor {
    fn name(&self) -> &'static str {
        "tensor"
    }

    fn coerce(&self, value: Value) -> Result<Value, String> {
        match value {
            Value::Array(array) => Ok(Value::Array(array)),
            Value::Map(text) => match json::read(&text) {
                Ok(Json::Object(document)) => Array::tensor(&document).map(Value::Array),
                _ => Err("must be a tensor with shape and data".into()),
            },
            _ => Err("must be a tensor with shape and data".into()),
        }
    }

    fn check(&self, value: &Value, constraints: &Constraints) -> Result<(), String> {
        let Value::Array(array) = value else {
            return Err("must be a tensor with shape and data".into());
        };
        match constraints.counts("shape")? {
            Some(shape) if array.shape != shape => {
                let wanted: Vec<String> = shape.iter().map(u64::to_string).collect();
                Err(format!("shape must be [{}]", wanted.join(", ")))
            }
            _ => Ok(()),
        }
    }
}
