//! `embedding`: an array of one dimension; a list of numbers becomes one of `float64`.

use serde_json::Value as Json;

use super::{Constraints, VariableType};
use crate::{Array, Dtype, Value, json};

pub(super) struct Embedding;

impl VariableType for Embedding {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn coerce(&self, value: Value) -> Result<Value, String> {
        match value {
            Value::Array(array) if array.shape.len() == 1 && array.dtype != Dtype::Bool => {
                Ok(Value::Array(array))
            }
            Value::List(text) => match json::read(&text) {
                Ok(Json::Array(items)) => Array::embedding(&items).map(Value::Array),
                _ => Err("must be a numeric list".into()),
            },
            _ => Err("must be a numeric list".into()),
        }
    }

    fn check(&self, value: &Value, constraints: &Constraints) -> Result<(), String> {
        let Value::Array(array) = value else {
            return Err("must be a numeric list".into());
        };
        match constraints.count("dimensions")? {
            Some(dimensions) if array.shape != [dimensions] => {
                Err(format!("must have exactly {dimensions} dimensions"))
            }
            _ => Ok(()),
        }
    }
}
