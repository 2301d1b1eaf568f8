//! What a manifest says of an export.

use serde_json::{Map, Value as Json};
use snakepit_machine::json;
use snakepit_storage::tree::Hash;

use super::super::super::export::{FORMAT, Form};
use super::difference::shown;
use super::fault::Fault;

/// Fields that are always there.
const FIELDS: [&str; 12] = [
    "format",
    "form",
    "origin",
    "first",
    "last",
    "count",
    "previous_hash",
    "last_hash",
    "frontier",
    "root",
    "bytes",
    "sha256",
];

/// A manifest that fits together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) form: Form,
    pub(super) origin: String,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) previous_hash: Hash,
    pub(super) last_hash: Hash,
    pub(super) frontier: Vec<Hash>,
    pub(super) root: Hash,
    pub(super) bytes: u64,
    pub(super) sha256: Hash,
    pub(super) checkpoint: Option<String>,
}

impl Claims {
    /// Read a manifest.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(bytes);
        let text = text.map_err(|_| Fault::of("the manifest is not UTF-8"))?;
        let found = object(text.strip_suffix('\n').unwrap_or(text))
            .map_err(|error| Fault::of(format!("the manifest is not one JSON object: {error}")))?;
        if let Some(name) = FIELDS.iter().find(|name| !found.contains_key(**name)) {
            return Err(Fault::of(format!("the manifest has no {name}")));
        }
        let known = |name: &str| name == "checkpoint" || FIELDS.contains(&name);
        if let Some(name) = found.keys().find(|name| !known(name)) {
            let name = shown(&name.as_str().into());
            return Err(Fault::of(format!(
                "the manifest has the unknown field {name}"
            )));
        }
        if found["format"] != FORMAT {
            let format = shown(&found["format"]);
            let told = format!("the manifest's format is {format}, not {FORMAT}");
            return Err(Fault::of(told).hint("check it with a release that knows the format"));
        }
        Self::fitting(&found)
    }

    fn fitting(found: &Map<String, Json>) -> Result<Self, Fault> {
        let claims = Self {
            form: form(&found["form"])?,
            origin: origin(&found["origin"])?,
            first: number(found, "first")?,
            last: number(found, "last")?,
            previous_hash: hash(&found["previous_hash"], "previous_hash")?,
            last_hash: hash(&found["last_hash"], "last_hash")?,
            frontier: frontier(&found["frontier"])?,
            root: hash(&found["root"], "root")?,
            bytes: number(found, "bytes")?,
            sha256: hash(&found["sha256"], "sha256")?,
            checkpoint: checkpoint(found.get("checkpoint"))?,
        };
        let (first, last) = (claims.first, claims.last);
        if first < 1 || last < first - 1 || last == u64::MAX {
            return Err(Fault::of(format!(
                "the manifest's range is {first} to {last}"
            )));
        }
        let count = number(found, "count")?;
        if count != last - (first - 1) {
            let told = format!("the manifest counts {count} events from {first} to {last}");
            return Err(Fault::of(told));
        }
        if claims.frontier.len() != (first - 1).count_ones() as usize {
            let told = format!(
                "the manifest's frontier is not that of {} events",
                first - 1
            );
            return Err(Fault::of(told));
        }
        if first == 1 && claims.previous_hash != [0; 32] {
            return Err(Fault::of(
                "the manifest's previous_hash is not zero, with nothing in front of event 1",
            ));
        }
        Ok(claims)
    }
}

/// One JSON object, with nothing around it and no key twice.
pub(super) fn object(text: &str) -> Result<Map<String, Json>, String> {
    if !text.starts_with('{') || !text.ends_with('}') {
        return Err("something is around it".into());
    }
    match json::read_unique(text) {
        Ok(Json::Object(object)) => Ok(object),
        Ok(_) => Err("it is another thing".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn form(found: &Json) -> Result<Form, Fault> {
    let form = Form::ALL.into_iter().find(|form| *found == form.name());
    form.ok_or_else(|| {
        let names = Form::ALL.map(Form::name).join(", ");
        Fault::of(format!(
            "the manifest's form is {}, not one of {names}",
            shown(found)
        ))
    })
}

fn origin(found: &Json) -> Result<String, Fault> {
    let log = found
        .as_str()
        .and_then(|text| text.strip_prefix("snakepit/"));
    match log {
        Some(id) if !id.is_empty() && !id.contains(char::is_whitespace) => {
            Ok(format!("snakepit/{id}"))
        }
        _ => Err(Fault::of(format!(
            "the manifest's origin is {}, which is no log of Snakepit",
            shown(found)
        ))),
    }
}

fn checkpoint(found: Option<&Json>) -> Result<Option<String>, Fault> {
    match found {
        None => Ok(None),
        Some(Json::String(note)) => Ok(Some(note.clone())),
        Some(_) => Err(Fault::of("the manifest's checkpoint is no text")),
    }
}

fn number(found: &Map<String, Json>, name: &str) -> Result<u64, Fault> {
    found[name].as_u64().ok_or_else(|| {
        Fault::of(format!(
            "the manifest's {name} is {}, which is no whole number of 64 bits",
            shown(&found[name])
        ))
    })
}

fn frontier(found: &Json) -> Result<Vec<Hash>, Fault> {
    let Json::Array(roots) = found else {
        return Err(Fault::of("the manifest's frontier is no array"));
    };
    roots.iter().map(|root| hash(root, "frontier")).collect()
}

fn hash(found: &Json, name: &str) -> Result<Hash, Fault> {
    let text = found
        .as_str()
        .filter(|text| !text.contains(|it: char| it.is_ascii_uppercase()));
    let hash = text.and_then(|text| blake3::Hash::from_hex(text).ok());
    hash.map(Into::into).ok_or_else(|| {
        Fault::of(format!(
            "the manifest's {name} is {}, which is no hash of 64 hexadecimal digits",
            shown(found)
        ))
    })
}
