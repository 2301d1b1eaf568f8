//! JSON values on the wire: an `Any` whose bytes are JSON text and whose URL names the type.

use prost_types::Any;
use serde_json::Value as Json;
use snakepit_proto::values::{self, TYPE_URL_PREFIX};

use crate::ClientError;

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
        Json::Object(_) => "map",
    }
}

/// A value as it travels; `type_name` is its own where `None`.
pub fn any_from_json(value: &Json, type_name: Option<&str>) -> Any {
    let name = type_name.unwrap_or_else(|| type_name_of(value));
    Any {
        type_url: format!("{TYPE_URL_PREFIX}{name}"),
        value: value.to_string().into_bytes(),
    }
}

/// A value as it came; `null` where there is none.
///
/// # Errors
///
/// `Other` where it is neither JSON nor one of protobuf's own wrappers.
pub fn any_to_json(any: Option<&Any>) -> Result<Json, ClientError> {
    let Some(any) = any.filter(|any| !any.value.is_empty()) else {
        return Ok(Json::Null);
    };
    if let Ok(json) = serde_json::from_slice(&any.value) {
        return Ok(json);
    }
    let broken = |reason: String| ClientError::Other(format!("cannot read the value: {reason}"));
    let value = values::decode(any, &[]).map_err(|error| broken(error.to_string()))?;
    serde_json::from_str(&values::to_json_text(&value)).map_err(|error| broken(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
        ] {
            let any = any_from_json(&value, None);
            assert_eq!(any.type_url, format!("{TYPE_URL_PREFIX}{name}"));
            assert_eq!(any_to_json(Some(&any)).unwrap(), value);
        }
    }

    #[test]
    fn packed_wrappers_and_nothing_are_read() {
        let type_url = "type.googleapis.com/google.protobuf.BoolValue".into();
        let any = Any {
            type_url,
            value: vec![8, 1],
        };
        assert_eq!(any_to_json(Some(&any)).unwrap(), json!(true));
        assert_eq!(any_to_json(None).unwrap(), Json::Null);
    }
}
