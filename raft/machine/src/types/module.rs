//! `module`: the name of a module, one of `allowed_modules` where there are any.

use super::choice::symbol;
use super::{Constraints, VariableType};
use crate::Value;

pub(super) struct Module;

impl VariableType for Module {
    fn name(&self) -> &'static str {
        "module"
    }

    fn coerce(&self, value: Value) -> Result<Value, String> {
        symbol(value).ok_or_else(|| "must be a module name".to_owned())
    }

    fn check(&self, value: &Value, constraints: &Constraints) -> Result<(), String> {
        let Value::String(text) = value else {
            return Err("must be a module name".into());
        };
        match constraints.texts("allowed_modules")? {
            Some(allowed) if !allowed.is_empty() && !allowed.contains(&text.as_str()) => Err(
                format!("must be one of the allowed modules: {}", allowed.join(", ")),
            ),
            _ => Ok(()),
        }
    }
}
