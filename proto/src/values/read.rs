//! From the wire.

use num_bigint::BigInt;
use prost::Message as _;
use prost_types::Any;
use serde_json::Value as Json;
use snakepit_machine::{Array, Value, json};

use super::text::{checked, is_json};
use super::{BadValue, TYPE_URL_PREFIX, arrays};

/// Read a value and the payload that came beside it, which is empty where there was none. The type that the
/// `type_url` names decides how its JSON is taken; a variable's own type coerces it later.
pub fn decode(any: &Any, payload: &[u8]) -> Result<Value, BadValue> {
    let name = type_name(&any.type_url)?;
    if name == "bytes" {
        let bytes = if payload.is_empty() {
            &any.value
        } else {
            payload
        };
        return Ok(Value::Bytes(bytes.to_vec()));
    }
    if name == "binary" || !payload.is_empty() {
        return arrays::decode(name, &any.value, payload);
    }
    if let Some(value) = packed_wrapper(name, &any.value) {
        return value;
    }
    let text = std::str::from_utf8(&any.value).map_err(|_| {
        BadValue(format!(
            "the value of type {name} is not UTF-8; hint: send JSON text"
        ))
    })?;
    from_text(name, text.trim())
}

/// The last part of a `type_url`: after the last slash, then after the last dot.
fn type_name(url: &str) -> Result<&str, BadValue> {
    if url.is_empty() {
        return Err(BadValue(format!(
            "the value has no type_url; hint: set it to {TYPE_URL_PREFIX}<type>"
        )));
    }
    let path = url.rsplit('/').next().unwrap_or(url);
    Ok(path.rsplit('.').next().unwrap_or(path))
}

fn from_text(name: &str, text: &str) -> Result<Value, BadValue> {
    match text.bytes().next() {
        Some(b'{') => {
            let text = checked(name, text)?;
            if name == "tensor" {
                let document = parse(name, &text)?;
                let fields = document.as_object().cloned().unwrap_or_default();
                return Ok(Value::Array(Array::tensor(&fields)?));
            }
            Ok(Value::Map(text.into_owned()))
        }
        Some(b'[') => {
            let text = checked(name, text)?;
            if name == "embedding" {
                let document = parse(name, &text)?;
                let items = document.as_array().map(Vec::as_slice).unwrap_or_default();
                return Ok(Value::Array(Array::embedding(items)?));
            }
            Ok(Value::List(text.into_owned()))
        }
        _ => scalar(name, text),
    }
}

fn parse(name: &str, text: &str) -> Result<Json, BadValue> {
    json::read(text).map_err(|error| {
        BadValue(format!(
            "the value of type {name} is not JSON: {error}; hint: send JSON text"
        ))
    })
}

fn scalar(name: &str, text: &str) -> Result<Value, BadValue> {
    // As Python's json writes them.
    if let Some(number) = special(text) {
        return Ok(Value::Float(number));
    }
    match (name, parse(name, text)?) {
        ("float", Json::String(text)) => {
            Ok(special(&text).map_or(Value::String(text), Value::Float))
        }
        ("float", Json::Number(number)) => finite(&number.to_string()).map(Value::Float),
        (_, Json::Number(number)) => number_value(&number.to_string()),
        (_, Json::String(text)) => Ok(Value::String(text)),
        (_, Json::Bool(truth)) => Ok(Value::Boolean(truth)),
        // Maps and lists begin with a bracket.
        _ => Ok(Value::Null),
    }
}

fn special(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn number_value(text: &str) -> Result<Value, BadValue> {
    match text.parse::<BigInt>() {
        Ok(integer) => Ok(Value::Integer(integer)),
        Err(_) => finite(text).map(Value::Float),
    }
}

fn finite(text: &str) -> Result<f64, BadValue> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(BadValue(format!(
            "{text} does not fit a float; hint: use an integer or a string"
        ))),
    }
}

/// Snakepit sends JSON under these names as well; only what is no JSON is taken as a packed message.
fn packed_wrapper(name: &str, bytes: &[u8]) -> Option<Result<Value, BadValue>> {
    if !name.ends_with("Value") || is_json(bytes) {
        return None;
    }
    let broken = |error: prost::DecodeError| {
        BadValue(format!(
            "a packed {name} is damaged: {error}; hint: send JSON text"
        ))
    };
    Some(match name {
        "StringValue" => String::decode(bytes).map(Value::String).map_err(broken),
        "BoolValue" => bool::decode(bytes).map(Value::Boolean).map_err(broken),
        "DoubleValue" => f64::decode(bytes).map(Value::Float).map_err(broken),
        "FloatValue" => f32::decode(bytes)
            .map(|number| Value::Float(number.into()))
            .map_err(broken),
        "Int64Value" => i64::decode(bytes)
            .map(|number| Value::Integer(number.into()))
            .map_err(broken),
        "UInt64Value" => u64::decode(bytes)
            .map(|number| Value::Integer(number.into()))
            .map_err(broken),
        "Int32Value" => i32::decode(bytes)
            .map(|number| Value::Integer(number.into()))
            .map_err(broken),
        "UInt32Value" => u32::decode(bytes)
            .map(|number| Value::Integer(number.into()))
            .map_err(broken),
        _ => return None,
    })
}
