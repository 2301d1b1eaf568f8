//! To the wire.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost_types::Any;
use serde_json::Value as Json;
use snakepit_machine::{Array, Dtype, Value};

use super::{TYPE_URL_PREFIX, arrays};

/// How a caller takes embeddings and tensors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrays {
    /// As JSON, as programs written for Snakepit do.
    #[default]
    Json,
    /// As raw arrays.
    Raw,
}

/// Write a value of that type, and the payload that goes beside it, which is empty where there is none.
pub fn encode(value: &Value, type_name: &str, arrays: Arrays) -> (Any, Vec<u8>) {
    match value {
        Value::Bytes(bytes) => (any(type_name, Vec::new()), bytes.clone()),
        Value::Array(array) if arrays == Arrays::Raw => {
            let about = arrays::about(array, type_name);
            let any = Any {
                type_url: format!("{TYPE_URL_PREFIX}{type_name}.binary"),
                value: about.into_bytes(),
            };
            (any, array.data.clone())
        }
        Value::Array(array) if type_name == "embedding" => {
            (any(type_name, elements(array).into_bytes()), Vec::new())
        }
        value => (any(type_name, to_json_text(value).into_bytes()), Vec::new()),
    }
}

fn any(type_name: &str, value: Vec<u8>) -> Any {
    Any {
        type_url: format!("{TYPE_URL_PREFIX}{type_name}"),
        value,
    }
}

/// A value as JSON text, for people and for tools that read JSON: NaN and the infinities as strings, integers
/// in full, bytes in base64, arrays as tensors.
pub fn to_json_text(value: &Value) -> String {
    match value {
        Value::Float(number) if number.is_nan() => "\"NaN\"".into(),
        Value::Float(number) if number.is_infinite() => {
            if *number > 0.0 {
                "\"Infinity\"".into()
            } else {
                "\"-Infinity\"".into()
            }
        }
        Value::Float(number) => format!("{number:?}"),
        Value::Integer(integer) => integer.to_string(),
        Value::String(text) => Json::String(text.clone()).to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Null => "null".into(),
        Value::Map(text) | Value::List(text) => text.clone(),
        Value::Bytes(bytes) => {
            format!("{{\"__snakepit_bytes__\":\"{}\"}}", BASE64.encode(bytes))
        }
        Value::Array(array) => tensor(array),
        Value::Sealed(sealed) => format!(
            "{{\"__snakepit_sealed__\":\"{}\",\"key_id\":\"{}\"}}",
            BASE64.encode(&sealed.data),
            sealed.key_id
        ),
    }
}

fn tensor(array: &Array) -> String {
    let dtype = match array.dtype {
        // What JSON numbers are read as without being told.
        Dtype::Float64 | Dtype::Int64 => String::new(),
        dtype => format!(",\"dtype\":\"{}\"", dtype.name()),
    };
    format!(
        "{{\"shape\":{:?},\"data\":{}{dtype}}}",
        array.shape,
        elements(array)
    )
}

fn elements(array: &Array) -> String {
    let mut text = String::with_capacity(2 + array.data.len());
    text.push('[');
    for (place, element) in array.elements().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let _ = write!(text, "{comma}{element}");
    }
    text.push(']');
    text
}
