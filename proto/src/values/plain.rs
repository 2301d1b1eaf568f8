//! Raw arrays for callers who take none: as the JSON that Snakepit's programs read.

use std::fmt::Write as _;

use prost_types::Any;
use snakepit_machine::{Array, Dtype, Value};

use super::{Arrays, BadValue, TYPE_URL_PREFIX, decode, encode};

/// The end of a raw array's `type_url`.
const RAW: &str = ".binary";
/// The type of arrays that are lists in JSON: arguments and results of tools.
const LIST: &str = "list";
/// Lists that an array without elements may be written as: its shape alone says how many.
const EMPTY_LISTS_MAX: u64 = 65_536;

/// Whether a value is a raw array.
pub fn is_raw(any: &Any) -> bool {
    any.type_url.ends_with(RAW)
}

/// A raw array as JSON: what is of type `list` as nested lists, others as variables have them. What is no raw
/// array stays as it is.
///
/// # Errors
///
/// Where it contradicts its description.
pub fn without_raw(any: &Any, payload: &[u8]) -> Result<(Any, Vec<u8>), BadValue> {
    let Some(url) = any.type_url.strip_suffix(RAW) else {
        return Ok((any.clone(), payload.to_vec()));
    };
    let name = url.rsplit(['/', '.']).next().unwrap_or(url);
    match decode(any, payload)? {
        Value::Array(array) if name == LIST => {
            let any = Any {
                type_url: format!("{TYPE_URL_PREFIX}{LIST}"),
                value: nested(&array)?.into_bytes(),
            };
            Ok((any, Vec::new()))
        }
        value => Ok(encode(&value, name, Arrays::Json)),
    }
}

fn nested(array: &Array) -> Result<String, BadValue> {
    let mut lists = 1u64;
    let mut all = 0u64;
    for length in &array.shape {
        all = all.saturating_add(lists);
        lists = lists.saturating_mul(*length);
    }
    if all > EMPTY_LISTS_MAX.max(array.data.len() as u64) {
        return Err(BadValue(format!(
            "an array of shape {:?} is {all} lists; hint: take it raw",
            array.shape
        )));
    }
    let mut text = String::with_capacity(2 + array.data.len());
    write(&mut text, array.dtype, &array.shape, &mut array.elements());
    Ok(text)
}

fn write(
    text: &mut String,
    dtype: Dtype,
    shape: &[u64],
    elements: &mut impl Iterator<Item = String>,
) {
    let Some((length, inner)) = shape.split_first() else {
        number(text, dtype, &elements.next().unwrap_or_default());
        return;
    };
    text.push('[');
    for place in 0..*length {
        if place > 0 {
            text.push(',');
        }
        write(text, dtype, inner, elements);
    }
    text.push(']');
}

/// An element as Python's own number: a float32 with the digits of the double that it is.
fn number(text: &mut String, dtype: Dtype, element: &str) {
    // Writing to a text does not fail.
    let _ = match element.parse::<f32>() {
        _ if element.starts_with('"') => write!(text, "{{\"__snakepit_float__\":{element}}}"),
        Ok(single) if dtype == Dtype::Float32 => write!(text, "{:?}", f64::from(single)),
        _ => write!(text, "{element}"),
    };
}
