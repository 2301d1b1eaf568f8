//! `string`: UTF-8 text. Lengths count graphemes; a pattern matches anywhere, in linear time, and is taken
//! literally where it is no regular expression.

use regex::RegexBuilder;
use unicode_segmentation::UnicodeSegmentation;

use super::{Constraints, VariableType};
use crate::Value;

/// Largest compiled pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

pub(super) struct Text;

impl VariableType for Text {
    fn name(&self) -> &'static str {
        "string"
    }

    fn coerce(&self, value: Value) -> Result<Value, String> {
        match value {
            Value::String(text) => Ok(Value::String(text)),
            Value::Boolean(truth) => Ok(Value::String(truth.to_string())),
            Value::Null => Err("cannot be nil".into()),
            _ => Err("must be a string".into()),
        }
    }

    fn check(&self, value: &Value, constraints: &Constraints) -> Result<(), String> {
        let Value::String(text) = value else {
            return Err("must be a string".into());
        };
        let (least, most) = (
            constraints.count("min_length")?,
            constraints.count("max_length")?,
        );
        if least.is_some() || most.is_some() {
            let length = text.graphemes(true).count() as u64;
            if let Some(least) = least.filter(|least| length < *least) {
                return Err(format!("must be at least {least} characters, got {length}"));
            }
            if let Some(most) = most.filter(|most| length > *most) {
                return Err(format!("must be at most {most} characters, got {length}"));
            }
        }
        if let Some(pattern) = constraints.text("pattern")? {
            let found = match RegexBuilder::new(pattern)
                .size_limit(PATTERN_BYTES_MAX)
                .build()
            {
                Ok(regex) => regex.is_match(text),
                Err(_) => text.contains(pattern),
            };
            if !found {
                return Err(format!("must match pattern: {pattern}"));
            }
        }
        if let Some(choices) = constraints.texts("enum")?
            && !choices.contains(&text.as_str())
        {
            return Err(format!("must be one of: {}", choices.join(", ")));
        }
        Ok(())
    }
}
