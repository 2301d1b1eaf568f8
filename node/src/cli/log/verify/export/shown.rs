//! One event of an export: what it shows against what its bytes say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json};
use snakepit_proto::events;
use snakepit_storage::tree::{Hash, leaf_hash};

use super::super::super::super::output::hex;
use super::super::super::export::{Form, Line, Row};
use super::claims;
use super::difference::{difference, settle};

/// An event that shows what its bytes say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sound {
    pub(super) bytes: Vec<u8>,
    pub(super) leaf: Hash,
    /// Of the chain, as it is shown: whether it is the right one is seen in order only.
    pub(super) hash: String,
}

/// What an export shows of an event, without its bytes and its hash, and those.
struct Shown {
    object: Map<String, Json>,
    bytes: Vec<u8>,
    hash: String,
}

/// Check a line.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn line(line: &[u8], form: Form, origin: &str, position: u64) -> Result<Sound, String> {
    if line.is_empty() {
        return Err("the file ends in front of it".into());
    }
    let line = line.strip_suffix(b"\n").ok_or("its line does not end")?;
    let line = std::str::from_utf8(line).map_err(|_| "its line is not UTF-8")?;
    let mut object = claims::object(line)
        .map_err(|error| format!("its line is not one JSON object: {error}"))?;
    let (hash_name, bytes_name) = form.names();
    let bytes = match object.remove(bytes_name) {
        Some(Json::String(text)) => STANDARD.decode(text).ok(),
        _ => None,
    };
    let bytes = bytes.ok_or_else(|| format!("{bytes_name} is missing or not in base64"))?;
    let Some(Json::String(hash)) = object.remove(hash_name) else {
        return Err(format!("{hash_name} is missing or no text"));
    };
    let shown = Shown {
        object,
        bytes,
        hash,
    };
    shown.check(form, origin, position)
}

/// Check a row of a table.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn row(row: Row, position: u64) -> Result<Sound, String> {
    let shown = Shown {
        object: row.object()?,
        hash: hex(&row.hash),
        bytes: row.bytes,
    };
    shown.check(Form::Parquet, "", position)
}

impl Shown {
    fn check(self, form: Form, origin: &str, position: u64) -> Result<Sound, String> {
        events::check_whole(&self.bytes).map_err(|error| error.to_string())?;
        let event = events::decode(&self.bytes).map_err(|error| error.to_string())?;
        if event.position != position {
            return Err(format!("the bytes are of position {}", event.position));
        }
        let want = Line {
            form,
            origin,
            event: &event,
            stored: None,
        };
        let want = serde_json::to_value(want).map_err(|error| error.to_string())?;
        let mut found = Json::Object(self.object);
        if want != found {
            match form {
                Form::Cloudevents => {
                    if let Some(data) = found.get_mut("data") {
                        settle(&event.payload, &want["data"], data);
                    }
                }
                Form::Jsonl | Form::Parquet => settle(&event.payload, &want, &mut found),
            }
            if let Some(told) = difference(&want, &found) {
                return Err(told);
            }
        }
        Ok(Sound {
            leaf: leaf_hash(&self.bytes),
            bytes: self.bytes,
            hash: self.hash,
        })
    }
}
