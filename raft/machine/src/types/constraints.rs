//! A variable's constraints: a JSON object whose unknown keys are ignored.

use std::cmp::Ordering;

use num_bigint::BigInt;
use num_traits::{FromPrimitive, ToPrimitive};
use serde_json::{Map, Number, Value as Json};

use crate::{Rejection, json};

/// Parsed constraints.
#[derive(Clone, Debug, Default)]
pub struct Constraints {
    entries: Map<String, Json>,
}

impl Constraints {
    /// Parse a document; an empty one has no constraints.
    pub fn parse(document: &str) -> Result<Self, Rejection> {
        if document.is_empty() {
            return Ok(Self::default());
        }
        match json::read(document) {
            Ok(Json::Object(entries)) => Ok(Self { entries }),
            Ok(Json::Null) => Ok(Self::default()),
            Ok(_) => Err(Rejection::invalid(
                "Invalid constraints: not a JSON object; hint: send {} or {\"min\": 0}",
            )),
            Err(error) => Err(Rejection::invalid(format!(
                "Invalid constraints: Invalid JSON: {error}"
            ))),
        }
    }

    /// A number, as `min` and `max` are.
    pub(super) fn number(&self, key: &str) -> Result<Option<Bound>, String> {
        match self.entries.get(key) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Number(number)) => Bound::parse(number)
                .map(Some)
                .ok_or_else(|| format!("Invalid constraints: {key} is out of range")),
            Some(_) => Err(format!("Invalid constraints: {key} must be a number")),
        }
    }

    /// A count, as `min_length` is.
    pub(super) fn count(&self, key: &str) -> Result<Option<u64>, String> {
        match self.entries.get(key) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Number(number)) if number.as_u64().is_some() => Ok(number.as_u64()),
            Some(_) => Err(format!(
                "Invalid constraints: {key} must be a whole number of 0 or more"
            )),
        }
    }

    /// A list of counts, as `shape` is.
    pub(super) fn counts(&self, key: &str) -> Result<Option<Vec<u64>>, String> {
        let wrong =
            || format!("Invalid constraints: {key} must be a list of whole numbers of 0 or more");
        match self.entries.get(key) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Array(items)) => items
                .iter()
                .map(|item| item.as_u64().ok_or_else(wrong))
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => Err(wrong()),
        }
    }

    /// Text, as `pattern` is.
    pub(super) fn text(&self, key: &str) -> Result<Option<&str>, String> {
        match self.entries.get(key) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("Invalid constraints: {key} must be a string")),
        }
    }

    /// A list of text, as `enum` is.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<&str>>, String> {
        let wrong = || format!("Invalid constraints: {key} must be a list of strings");
        match self.entries.get(key) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Array(items)) => items
                .iter()
                .map(|item| item.as_str().ok_or_else(wrong))
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => Err(wrong()),
        }
    }
}

/// A bound on a number, exact where it is whole.
#[derive(Clone, Debug)]
pub(super) enum Bound {
    Whole(BigInt),
    Real(f64),
}

impl Bound {
    fn parse(number: &Number) -> Option<Self> {
        let text = number.to_string();
        if let Ok(whole) = text.parse::<BigInt>() {
            return Some(Self::Whole(whole));
        }
        text.parse::<f64>()
            .ok()
            .filter(|real| real.is_finite())
            .map(Self::Real)
    }

    /// How a float compares with this bound; `None` for NaN.
    pub(super) fn compare_float(&self, value: f64) -> Option<Ordering> {
        match self {
            Self::Real(bound) => value.partial_cmp(bound),
            Self::Whole(bound) => match bound.to_f64() {
                Some(bound) => value.partial_cmp(&bound),
                None => None,
            },
        }
    }

    /// How an integer compares with this bound.
    pub(super) fn compare_integer(&self, value: &BigInt) -> Ordering {
        match self {
            Self::Whole(bound) => value.cmp(bound),
            Self::Real(bound) => {
                let floor = BigInt::from_f64(bound.floor()).unwrap_or_default();
                match value.cmp(&floor) {
                    Ordering::Equal if bound.fract() != 0.0 => Ordering::Less,
                    other => other,
                }
            }
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(bound) => write!(f, "{bound}"),
            Self::Real(bound) => write!(f, "{bound:?}"),
        }
    }
}
