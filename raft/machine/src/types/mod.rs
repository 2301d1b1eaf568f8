//! The types of variables: what each accepts, turns it into, and checks. One file per type; this file is
//! the table.

mod boolean;
mod choice;
mod constraints;
mod embedding;
mod float;
mod integer;
mod module;
mod plain;
mod string;
mod tensor;

pub use constraints::Constraints;

use crate::{Rejection, Value};

/// A type of variable. Messages keep Snakepit's wording.
pub trait VariableType: Sync {
    /// Its name on the wire.
    fn name(&self) -> &'static str;
    /// The value as a variable of this type holds it, or why it is none.
    fn coerce(&self, value: Value) -> Result<Value, String>;
    /// Whether a coerced value keeps the constraints; the first that fails is told.
    fn check(&self, value: &Value, constraints: &Constraints) -> Result<(), String>;
}

static TYPES: &[&dyn VariableType] = &[
    &float::Float,
    &integer::Integer,
    &string::Text,
    &boolean::Boolean,
    &choice::Choice,
    &module::Module,
    &embedding::Embedding,
    &tensor::Tensor,
    &plain::MAP,
    &plain::LIST,
    &plain::NULL,
    &plain::BYTES,
];

/// The type of that name; names are lower case.
pub fn by_name(name: &str) -> Result<&'static dyn VariableType, Rejection> {
    TYPES
        .iter()
        .find(|each| each.name() == name)
        .copied()
        .ok_or_else(|| {
            let known: Vec<_> = TYPES.iter().map(|each| each.name()).collect();
            Rejection::invalid(format!(
                "Unknown type: {name}; hint: use one of {}",
                known.join(", ")
            ))
        })
}

/// Coerce a value and check it against a variable's constraints document.
pub fn admit(
    kind: &dyn VariableType,
    value: Value,
    constraints: &Constraints,
) -> Result<Value, Rejection> {
    let value = kind.coerce(value).map_err(Rejection::invalid)?;
    kind.check(&value, constraints)
        .map_err(Rejection::invalid)?;
    Ok(value)
}

#[cfg(test)]
mod tests;
