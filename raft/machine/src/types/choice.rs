//! `choice`: text, one of `choices` where there are any.

use super::{Constraints, VariableType};
use crate::Value;

pub(super) struct Choice;

impl VariableType for Choice {
    fn name(&self) -> &'static str {
        "choice"
    }

    fn coerce(&self, value: Value) -> Result<Value, String> {
        symbol(value).ok_or_else(|| "must be a string".to_owned())
    }

    fn check(&self, value: &Value, constraints: &Constraints) -> Result<(), String> {
        let Value::String(text) = value else {
            return Err("must be a string".into());
        };
        match constraints.texts("choices")? {
            Some(choices) if !choices.is_empty() && !choices.contains(&text.as_str()) => {
                Err(format!("must be one of: {}", choices.join(", ")))
            }
            _ => Ok(()),
        }
    }
}

/// Text, and what Snakepit takes for text where it stands for a choice: truth values and nothing.
pub(super) fn symbol(value: Value) -> Option<Value> {
    match value {
        Value::String(text) => Some(Value::String(text)),
        Value::Boolean(truth) => Some(Value::String(truth.to_string())),
        Value::Null => Some(Value::String(String::new())),
        _ => None,
    }
}
