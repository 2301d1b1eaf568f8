//! An export as a JSON document: protobuf's mapping of `SessionExport` with its own field names, numbers as
//! numbers, and each value as `{"type", "json", "binary"}`. The Python SDK reads and writes the same.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use prost_types::{Any, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use snakepit_proto::bridge::{self, variable::Source};
use snakepit_proto::session;
use snakepit_proto::values::TYPE_URL_PREFIX;

use crate::ClientError;
use crate::export::SessionExport;

/// An export as JSON text.
///
/// # Errors
///
/// `Other` where a value of the export is no JSON.
pub fn export_to_json(export: &SessionExport) -> Result<String, ClientError> {
    let document = Document::try_from(export)?;
    serde_json::to_string_pretty(&document).map_err(|error| ClientError::Other(error.to_string()))
}

/// JSON text as an export.
///
/// # Errors
///
/// `Invalid` where it is no such document.
pub fn export_from_json(text: &str) -> Result<SessionExport, ClientError> {
    let document: Document = serde_json::from_str(text).map_err(|error| {
        invalid(format!(
            "this is no export of a session: {error}; hint: take what `snakepit session export` wrote"
        ))
    })?;
    SessionExport::try_from(document)
}

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    #[serde(default)]
    session_id: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    config: Option<Config>,
    created_at: Option<String>,
    #[serde(default)]
    variables: Vec<Variable>,
    #[serde(default)]
    programs: Vec<Program>,
    #[serde(default)]
    revision: u64,
    /// Of the log, where a moment of the past was asked for.
    #[serde(default, skip_serializing_if = "is_zero")]
    position: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    subject: String,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Serialize, Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Config {
    enable_caching: bool,
    cache_ttl_seconds: i32,
    enable_telemetry: bool,
    ttl_seconds: i64,
}

#[derive(Serialize, Deserialize)]
struct Variable {
    #[serde(default)]
    id: String,
    name: String,
    #[serde(rename = "type")]
    type_name: String,
    value: Value,
    #[serde(default)]
    constraints_json: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    source: Option<String>,
    last_updated_at: Option<String>,
    #[serde(default)]
    version: i32,
    #[serde(default)]
    access_control_json: String,
    created_at: Option<String>,
    #[serde(default)]
    dependencies: Vec<Dependency>,
    #[serde(default)]
    dependents: Vec<Dependency>,
}

#[derive(Serialize, Deserialize)]
struct Dependency {
    variable: String,
    kind: String,
}

#[derive(Serialize, Deserialize)]
struct Program {
    program_id: String,
    value: Value,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    version: i32,
    created_at: Option<String>,
    updated_at: Option<String>,
}

/// The text of maps and lists is kept as it is, the order of keys included.
#[derive(Serialize, Deserialize)]
struct Value {
    #[serde(rename = "type")]
    type_name: String,
    #[serde(default)]
    json: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    binary: Option<String>,
}

impl Value {
    fn of(any: Option<&Any>, payload: &[u8]) -> Result<Self, ClientError> {
        let any = any.cloned().unwrap_or_default();
        let type_name = any.type_url.rsplit('/').next().unwrap_or_default();
        let type_name = type_name.strip_prefix("snakepit.").unwrap_or(type_name);
        let text = match String::from_utf8(any.value) {
            Ok(text) if text.is_empty() => "null".to_owned(),
            Ok(text) => text,
            Err(_) => return Err(ClientError::Other(format!("a {type_name} is no text"))),
        };
        let json = RawValue::from_string(text).map_err(|error| {
            ClientError::Other(format!("a value of type {type_name} is no JSON: {error}"))
        })?;
        Ok(Self {
            type_name: type_name.to_owned(),
            json: Some(json),
            binary: (!payload.is_empty()).then(|| BASE64.encode(payload)),
        })
    }

    /// The value and its payload; `whose` is told where they are none.
    fn read(self, whose: &str) -> Result<(Any, Bytes), ClientError> {
        let text = self.json.as_deref().map_or("null", RawValue::get);
        let value = if self.type_name == "bytes" && text == "null" {
            Vec::new()
        } else {
            text.as_bytes().to_vec()
        };
        let payload = BASE64
            .decode(self.binary.unwrap_or_default())
            .map_err(|error| {
                invalid(format!(
                    "the binary of {whose} is no base64: {error}; hint: export the session again"
                ))
            })?;
        let type_url = format!("{TYPE_URL_PREFIX}{}", self.type_name);
        Ok((Any { type_url, value }, payload.into()))
    }
}

impl TryFrom<&SessionExport> for Document {
    type Error = ClientError;

    fn try_from(export: &SessionExport) -> Result<Self, ClientError> {
        let variables = export.variables.iter().map(Variable::try_from);
        let programs = export.programs.iter().map(Program::try_from);
        Ok(Self {
            format: export.format,
            session_id: export.session_id.clone(),
            metadata: export.metadata.clone(),
            config: export.config.map(|config| Config {
                enable_caching: config.enable_caching,
                cache_ttl_seconds: config.cache_ttl_seconds,
                enable_telemetry: config.enable_telemetry,
                ttl_seconds: config.ttl_seconds,
            }),
            created_at: time(export.created_at),
            variables: variables.collect::<Result<_, _>>()?,
            programs: programs.collect::<Result<_, _>>()?,
            revision: export.revision,
            position: export.position,
            subject: export.subject.clone(),
        })
    }
}

impl TryFrom<&bridge::Variable> for Variable {
    type Error = ClientError;

    fn try_from(variable: &bridge::Variable) -> Result<Self, ClientError> {
        let dependencies = |of: &[bridge::Dependency]| {
            let each = of.iter().map(|other| Dependency {
                variable: other.variable.clone(),
                kind: other.kind.clone(),
            });
            each.collect()
        };
        Ok(Self {
            id: variable.id.clone(),
            name: variable.name.clone(),
            type_name: variable.r#type.clone(),
            value: Value::of(variable.value.as_ref(), &variable.binary_value)?,
            constraints_json: variable.constraints_json.clone(),
            metadata: variable.metadata.clone(),
            source: Some(variable.source().as_str_name().to_owned()),
            last_updated_at: time(variable.last_updated_at),
            version: variable.version,
            access_control_json: variable.access_control_json.clone(),
            created_at: time(variable.created_at),
            dependencies: dependencies(&variable.dependencies),
            dependents: dependencies(&variable.dependents),
        })
    }
}

impl TryFrom<&session::Program> for Program {
    type Error = ClientError;

    fn try_from(program: &session::Program) -> Result<Self, ClientError> {
        Ok(Self {
            program_id: program.program_id.clone(),
            value: Value::of(program.value.as_ref(), &program.binary_value)?,
            metadata: program.metadata.clone(),
            version: program.version,
            created_at: time(program.created_at),
            updated_at: time(program.updated_at),
        })
    }
}

impl TryFrom<Document> for SessionExport {
    type Error = ClientError;

    fn try_from(document: Document) -> Result<Self, ClientError> {
        let config = document.config.unwrap_or_default();
        let variables = document.variables.into_iter().map(Variable::read);
        let programs = document.programs.into_iter().map(Program::read);
        Ok(Self {
            format: document.format,
            session_id: document.session_id,
            metadata: document.metadata,
            config: Some(bridge::SessionConfig {
                enable_caching: config.enable_caching,
                cache_ttl_seconds: config.cache_ttl_seconds,
                enable_telemetry: config.enable_telemetry,
                ttl_seconds: config.ttl_seconds,
            }),
            created_at: timestamp(document.created_at)?,
            variables: variables.collect::<Result<_, _>>()?,
            programs: programs.collect::<Result<_, _>>()?,
            revision: document.revision,
            position: document.position,
            subject: document.subject,
        })
    }
}

impl Variable {
    fn read(self) -> Result<bridge::Variable, ClientError> {
        let (value, binary_value) = self.value.read(&format!("variable {}", self.name))?;
        let dependencies = |of: Vec<Dependency>| {
            let each = of.into_iter().map(|other| bridge::Dependency {
                variable: other.variable,
                kind: other.kind,
            });
            each.collect()
        };
        let source = self.source.as_deref().and_then(Source::from_str_name);
        Ok(bridge::Variable {
            id: self.id,
            name: self.name,
            r#type: self.type_name,
            value: Some(value),
            constraints_json: self.constraints_json,
            metadata: self.metadata,
            source: source.unwrap_or_default().into(),
            last_updated_at: timestamp(self.last_updated_at)?,
            version: self.version,
            access_control_json: self.access_control_json,
            optimization_status: None,
            binary_value,
            created_at: timestamp(self.created_at)?,
            dependencies: dependencies(self.dependencies),
            dependents: dependencies(self.dependents),
        })
    }
}

impl Program {
    fn read(self) -> Result<session::Program, ClientError> {
        let (value, binary_value) = self.value.read(&format!("program {}", self.program_id))?;
        Ok(session::Program {
            program_id: self.program_id,
            value: Some(value),
            binary_value,
            metadata: self.metadata,
            version: self.version,
            created_at: timestamp(self.created_at)?,
            updated_at: timestamp(self.updated_at)?,
            expires_at: None,
        })
    }
}

fn time(of: Option<Timestamp>) -> Option<String> {
    of.map(|time| time.to_string())
}

fn timestamp(text: Option<String>) -> Result<Option<Timestamp>, ClientError> {
    let Some(text) = text else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        invalid(format!(
            "{text:?} is no time; hint: write it as 2026-01-31T12:00:00Z"
        ))
    })
}

fn invalid(message: String) -> ClientError {
    ClientError::Invalid(message)
}

#[cfg(test)]
mod tests {
    use snakepit_proto::times;

    use super::*;

    fn variable(name: &str, url: &str, json: &str, payload: &[u8]) -> bridge::Variable {
        bridge::Variable {
            id: format!("var_{name}_1"),
            name: name.into(),
            r#type: url.split('.').next().unwrap_or_default().into(),
            value: Some(Any {
                type_url: format!("{TYPE_URL_PREFIX}{url}"),
                value: json.into(),
            }),
            binary_value: Bytes::copy_from_slice(payload),
            version: 3,
            created_at: Some(times::timestamp(1_700_000_000_123)),
            ..Default::default()
        }
    }

    fn export() -> SessionExport {
        let about = r#"{"type":"tensor","dtype":"float32","shape":[1],"binary_format":"raw"}"#;
        SessionExport {
            format: 1,
            session_id: "s".into(),
            metadata: BTreeMap::from([("team".into(), "a".into())]),
            config: Some(bridge::SessionConfig {
                enable_caching: true,
                ttl_seconds: 60,
                ..Default::default()
            }),
            created_at: Some(times::timestamp(1_700_000_000_000)),
            variables: vec![
                variable("a", "tensor.binary", about, &[0, 0, 192, 127]),
                variable("b", "bytes", "", &[1, 2]),
                variable("c", "bytes", "", &[]),
                variable(
                    "d",
                    "map",
                    r#"{"z": 1.00, "a": {"__snakepit_float__": "NaN"}}"#,
                    &[],
                ),
                variable("e", "null", "null", &[]),
                variable("f", "integer", "123456789012345678901234567890", &[]),
            ],
            programs: vec![session::Program {
                program_id: "p".into(),
                value: Some(Any {
                    type_url: format!("{TYPE_URL_PREFIX}string"),
                    value: b"\"x\"".into(),
                }),
                version: 2,
                ..Default::default()
            }],
            revision: 9,
            position: 40,
            subject: "ada".into(),
        }
    }

    #[test]
    fn exports_come_back_bit_for_bit() {
        let text = export_to_json(&export()).unwrap();
        assert_eq!(export_from_json(&text).unwrap(), export());
    }

    #[test]
    fn the_document_is_what_others_read() {
        let document: serde_json::Value =
            serde_json::from_str(&export_to_json(&export()).unwrap()).unwrap();
        assert_eq!(document["created_at"], "2023-11-14T22:13:20Z");
        let tensor = &document["variables"][0];
        assert_eq!(tensor["value"]["type"], "tensor.binary");
        assert_eq!(tensor["value"]["json"]["dtype"], "float32");
        assert_eq!(tensor["value"]["binary"], "AADAfw==");
        assert_eq!(tensor["source"], "ELIXIR");
        let map = &document["variables"][3]["value"];
        assert!(map["binary"].is_null());
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let text = r#"{"format": 1, "session_id": "s", "variables": [
            {"name": "x", "type": "float", "value": {"type": "float", "json": 1.5}}]}"#;
        let read = export_from_json(text).unwrap();
        assert_eq!(read.variables[0].value.as_ref().unwrap().value, b"1.5");
        for (text, why) in [
            ("[]", "no export of a session"),
            (r#"{"format": 1, "created_at": "x"}"#, "is no time"),
            (
                r#"{"format":1,"programs":[{"program_id":"p","value":{"type":"bytes","binary":"?"}}]}"#,
                "of program p is no base64",
            ),
        ] {
            assert!(export_from_json(text).unwrap_err().message().contains(why));
        }
    }
}
