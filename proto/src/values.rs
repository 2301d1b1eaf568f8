//! Values on the bridge: an `Any` whose `value` is UTF-8 JSON and whose `type_url` only names the type.
//!
//! Both generations of Snakepit put JSON there; a client that packs real protobuf wrappers
//! (`google.protobuf.StringValue` and its kin) is understood too.

use num_bigint::BigInt;
use prost::Message as _;
use prost_types::Any;
use serde_json::Value as Json;
use snakepit_machine::Value;

/// What stands before a type's name in a `type_url`.
pub const TYPE_URL_PREFIX: &str = "type.googleapis.com/snakepit.";

/// A value that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadValue(pub String);

/// Read a value. The type that the `type_url` names decides how its JSON is taken; a variable's own type
/// coerces it later.
pub fn decode(any: &Any) -> Result<Value, BadValue> {
    let name = type_name(&any.type_url)?;
    if let Some(value) = packed_wrapper(name, &any.value) {
        return value;
    }
    let text = std::str::from_utf8(&any.value).map_err(|_| {
        BadValue(format!(
            "the value of type {name} is not UTF-8; hint: send JSON text"
        ))
    })?;
    let json: Json = serde_json::from_str(text).map_err(|error| {
        BadValue(format!(
            "the value of type {name} is not JSON: {error}; hint: send JSON text"
        ))
    })?;
    from_json(name, json)
}

/// Write a value.
pub fn encode(value: &Value) -> Any {
    Any {
        type_url: format!("{TYPE_URL_PREFIX}{}", value.type_name()),
        value: to_json_text(value).into_bytes(),
    }
}

/// A value as JSON text: NaN and the infinities as strings, integers in full.
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
    }
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

fn from_json(name: &str, json: Json) -> Result<Value, BadValue> {
    let misfit = || {
        BadValue(format!(
            "a JSON {} is no {name}; hint: send the value as JSON of its type",
            json_kind(&json)
        ))
    };
    match (name, &json) {
        ("float", Json::String(text)) => match text.as_str() {
            "NaN" => Ok(Value::Float(f64::NAN)),
            "Infinity" => Ok(Value::Float(f64::INFINITY)),
            "-Infinity" => Ok(Value::Float(f64::NEG_INFINITY)),
            _ => Ok(Value::String(text.clone())),
        },
        ("float", Json::Number(number)) => match number.to_string().parse::<f64>() {
            Ok(parsed) if parsed.is_finite() => Ok(Value::Float(parsed)),
            _ => Err(BadValue(format!(
                "{number} does not fit a float; hint: use an integer or a string"
            ))),
        },
        (_, Json::Number(number)) => number_value(&number.to_string()),
        (_, Json::String(text)) => Ok(Value::String(text.clone())),
        (_, Json::Bool(truth)) => Ok(Value::Boolean(*truth)),
        _ => Err(misfit()),
    }
}

fn number_value(text: &str) -> Result<Value, BadValue> {
    if let Ok(integer) = text.parse::<BigInt>() {
        return Ok(Value::Integer(integer));
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Value::Float(number)),
        _ => Err(BadValue(format!(
            "{text} does not fit a float; hint: use an integer or a string"
        ))),
    }
}

fn json_kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "list",
        Json::Object(_) => "map",
    }
}

/// Snakepit sends JSON under these names as well; only what is no JSON is taken as a packed message.
fn packed_wrapper(name: &str, bytes: &[u8]) -> Option<Result<Value, BadValue>> {
    if !name.ends_with("Value") || serde_json::from_slice::<Json>(bytes).is_ok() {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_of(name: &str, text: &str) -> Any {
        Any {
            type_url: format!("{TYPE_URL_PREFIX}{name}"),
            value: text.as_bytes().to_vec(),
        }
    }

    #[test]
    fn json_of_each_type_is_read() {
        assert_eq!(
            decode(&any_of("float", "\"NaN\"")),
            Ok(Value::Float(f64::NAN))
        );
        assert_eq!(decode(&any_of("float", "1")), Ok(Value::Float(1.0)));
        let huge = "123456789012345678901234567890";
        assert_eq!(
            decode(&any_of("integer", huge)),
            Ok(Value::Integer(huge.parse().unwrap()))
        );
        assert_eq!(decode(&any_of("integer", "1.5")), Ok(Value::Float(1.5)));
        assert_eq!(
            decode(&any_of("string", "\"x\"")),
            Ok(Value::String("x".into()))
        );
        assert_eq!(decode(&any_of("boolean", "true")), Ok(Value::Boolean(true)));
    }

    #[test]
    fn packed_wrappers_are_read() {
        let any = Any {
            type_url: "type.googleapis.com/google.protobuf.StringValue".into(),
            value: "hello".to_owned().encode_to_vec(),
        };
        assert_eq!(decode(&any), Ok(Value::String("hello".into())));
        let json = Any {
            value: b"\"hello\"".to_vec(),
            ..any
        };
        assert_eq!(decode(&json), Ok(Value::String("hello".into())));
    }

    #[test]
    fn what_is_broken_is_told() {
        assert!(
            decode(&Any::default())
                .unwrap_err()
                .0
                .contains("no type_url")
        );
        assert!(
            decode(&any_of("float", "{"))
                .unwrap_err()
                .0
                .contains("not JSON")
        );
        assert!(
            decode(&any_of("string", "null"))
                .unwrap_err()
                .0
                .contains("a JSON null is no string")
        );
        assert!(
            decode(&any_of("float", "1e999"))
                .unwrap_err()
                .0
                .contains("does not fit")
        );
    }

    proptest! {
        #[test]
        fn values_come_back(number in any::<f64>(), integer in any::<i128>(), text in ".*", truth in any::<bool>()) {
            for value in [
                Value::Float(number),
                Value::Integer(integer.into()),
                Value::String(text.clone()),
                Value::Boolean(truth),
            ] {
                let expected = match &value {
                    Value::Float(number) if number.is_nan() => Value::Float(f64::NAN),
                    other => other.clone(),
                };
                prop_assert_eq!(decode(&encode(&value)), Ok(expected));
            }
        }

        #[test]
        fn no_bytes_panic(url in ".*", bytes in any::<Vec<u8>>()) {
            let _ = decode(&Any { type_url: url, value: bytes });
        }
    }
}
