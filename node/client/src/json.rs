//! JSON values on the wire: an `Any` whose bytes are JSON text and whose URL names the type, and a payload of
//! bytes beside it. `docs/values.md` is the contract.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use prost_types::Any;
use serde_json::{Value as Json, json};
use snakepit_machine::json;
use snakepit_proto::values::{self, TYPE_URL_PREFIX};

use crate::ClientError;

/// Bytes in JSON: an object with this key and base64.
const BYTES_KEY: &str = "__snakepit_bytes__";

/// The wire type that a JSON value has by itself.
pub fn type_name_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) => {
            if number.to_string().contains(['.', 'e', 'E']) {
                "float"
            } else {
                "integer"
            }
        }
        Json::String(_) => "string",
        Json::Array(_) => "list",
        Json::Object(_) if bytes_of(value).is_some() => "bytes",
        Json::Object(_) => "map",
    }
}

/// A value as it travels, and the payload beside it, which is empty where there is none; `type_name` is the
/// value's own where `None`. `{"__snakepit_bytes__": "<base64>"}` is bytes, unless another type is named.
pub fn any_from_json(value: &Json, type_name: Option<&str>) -> (Any, Bytes) {
    let name = type_name.unwrap_or_else(|| type_name_of(value));
    let type_url = format!("{TYPE_URL_PREFIX}{name}");
    if let Some(payload) = bytes_of(value).filter(|_| name == "bytes") {
        let value = Vec::new();
        return (Any { type_url, value }, payload);
    }
    let value = value.to_string().into_bytes();
    (Any { type_url, value }, Bytes::new())
}

/// A value as it came, with its payload; `null` where there is none. Bytes are
/// `{"__snakepit_bytes__": "<base64>"}`.
///
/// # Errors
///
/// `Other` where it is neither JSON nor one of protobuf's own wrappers.
pub fn any_to_json(any: Option<&Any>, payload: &[u8]) -> Result<Json, ClientError> {
    let Some(any) = any else {
        return Ok(Json::Null);
    };
    if any.type_url.ends_with(".bytes") {
        let bytes = if payload.is_empty() {
            &any.value
        } else {
            payload
        };
        return Ok(bytes_to_json(bytes));
    }
    if any.value.is_empty() {
        return Ok(Json::Null);
    }
    if payload.is_empty()
        && let Some(json) = read(&any.value)
    {
        return Ok(json);
    }
    let broken = |reason: String| ClientError::Other(format!("cannot read the value: {reason}"));
    let value = values::decode(any, payload).map_err(|error| broken(error.to_string()))?;
    json::read(&values::to_json_text(&value)).map_err(|error| broken(error.to_string()))
}

/// Bytes as JSON, where they are some.
pub(crate) fn read(bytes: &[u8]) -> Option<Json> {
    json::read(std::str::from_utf8(bytes).ok()?).ok()
}

/// Bytes as JSON: `{"__snakepit_bytes__": "<base64>"}`.
pub fn bytes_to_json(bytes: &[u8]) -> Json {
    json!({ BYTES_KEY: BASE64.encode(bytes) })
}

/// The bytes that a JSON value is, where it is some.
fn bytes_of(value: &Json) -> Option<Bytes> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let text = object.get(BYTES_KEY)?.as_str()?;
    BASE64.decode(text).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_with_their_types() {
        let huge: Json = serde_json::from_str("123456789012345678901234567890").unwrap();
        for (value, name) in [
            (json!(null), "null"),
            (json!(1), "integer"),
            (huge, "integer"),
            (json!(1.0), "float"),
            (json!("x"), "string"),
            (json!(true), "boolean"),
            (json!([1, "a"]), "list"),
            (json!({"a": 1}), "map"),
            (json!({"__snakepit_bytes__": "AAH/"}), "bytes"),
            (json!({"__snakepit_bytes__": ""}), "bytes"),
            (json!({"__snakepit_bytes__": "?"}), "map"),
        ] {
            let (any, payload) = any_from_json(&value, None);
            assert_eq!(any.type_url, format!("{TYPE_URL_PREFIX}{name}"));
            assert_eq!(any_to_json(Some(&any), &payload).unwrap(), value);
        }
    }

    #[test]
    fn bytes_travel_beside_the_value() {
        let marked = json!({"__snakepit_bytes__": "AAH/"});
        let (any, payload) = any_from_json(&marked, Some("bytes"));
        assert_eq!(
            (any.value.len(), payload),
            (0, Bytes::from_static(&[0, 1, 255]))
        );
        let (any, payload) = any_from_json(&marked, Some("map"));
        assert!(!any.value.is_empty() && payload.is_empty());
    }

    #[test]
    fn packed_wrappers_raw_arrays_and_nothing_are_read() {
        let type_url = "type.googleapis.com/google.protobuf.BoolValue".into();
        let any = Any {
            type_url,
            value: vec![8, 1],
        };
        assert_eq!(any_to_json(Some(&any), &[]).unwrap(), json!(true));
        let about = json!({"dtype": "int8", "shape": [2], "binary_format": "raw"});
        let any = Any {
            type_url: format!("{TYPE_URL_PREFIX}tensor.binary"),
            value: about.to_string().into_bytes(),
        };
        assert_eq!(
            any_to_json(Some(&any), &[1, 2]).unwrap(),
            json!({"shape": [2], "data": [1, 2], "dtype": "int8"})
        );
        assert_eq!(any_to_json(None, &[]).unwrap(), Json::Null);
    }
}
