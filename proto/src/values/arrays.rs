//! Raw arrays: dtype and shape in JSON, the elements beside it.

use serde::Deserialize;
use serde_json::json;
use snakepit_machine::{Array, Dtype, Value};

use super::BadValue;

#[derive(Deserialize)]
struct About {
    binary_format: Option<String>,
    dtype: Option<String>,
    shape: Option<Vec<u64>>,
}

/// Read an array; also tells what came with a payload and is none.
pub(super) fn decode(name: &str, about: &[u8], payload: &[u8]) -> Result<Value, BadValue> {
    let about: About = serde_json::from_slice(about)
        .ok()
        .filter(|about: &About| about.binary_format.is_some())
        .ok_or_else(|| {
            BadValue(format!(
                "a payload came with a value of type {name} that does not describe it; hint: send {{\"binary_format\": \"raw\", \"dtype\": …, \"shape\": […]}} with it, or bytes under the type bytes"
            ))
        })?;
    match about.binary_format.as_deref() {
        Some("raw") => {}
        other => {
            return Err(BadValue(format!(
                "binary_format is {:?}, which a node does not read, for reading it can run code; hint: send raw little-endian elements with binary_format \"raw\"",
                other.unwrap_or_default()
            )));
        }
    }
    let dtype = about.dtype.unwrap_or_default();
    let dtype = Dtype::from_name(&dtype).ok_or_else(|| {
        let known: Vec<_> = Dtype::ALL.iter().map(|dtype| dtype.name()).collect();
        BadValue(format!(
            "dtype {dtype:?} is not known; hint: use one of {}",
            known.join(", ")
        ))
    })?;
    let shape = about.shape.ok_or_else(|| {
        BadValue("a raw array has no shape; hint: send the length of each dimension".into())
    })?;
    Ok(Value::Array(Array::new(dtype, shape, payload.to_vec())?))
}

/// What describes an array on the wire.
pub(super) fn about(array: &Array, type_name: &str) -> String {
    json!({
        "type": type_name,
        "dtype": array.dtype.name(),
        "shape": array.shape,
        "binary_format": "raw",
    })
    .to_string()
}
