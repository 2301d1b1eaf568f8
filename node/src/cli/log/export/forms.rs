//! What an event is in an export.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};
use snakepit_client::StoredEvent;
use snakepit_machine::Event;

use super::super::super::error::CliError;
use super::super::super::globals::Context;
use super::super::super::output::{hex, time};
use super::super::{source, view};

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// One JSON object a line
    Jsonl,
    /// One CloudEvents 1.0 object a line
    Cloudevents,
    /// A table in Apache Parquet, one row an event
    Parquet,
}

impl Form {
    /// All of them.
    pub(in super::super) const ALL: [Self; 3] = [Self::Jsonl, Self::Cloudevents, Self::Parquet];

    /// Its name in manifests.
    pub(in super::super) fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Cloudevents => "cloudevents",
            Self::Parquet => "parquet",
        }
    }

    /// What the hash and the stored bytes are called.
    pub(in super::super) fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Cloudevents => ("snakepithash", "snakepitbytes"),
            Self::Jsonl | Self::Parquet => ("hash", "bytes"),
        }
    }
}

/// An event as one object, without its hash and its stored bytes. A row of Parquet says the same as a line of
/// JSON.
pub(in super::super) fn object(form: Form, origin: &str, event: &Event) -> Map<String, Json> {
    let told = view::fields(event);
    if form != Form::Cloudevents {
        return told;
    }
    let mut object = Map::new();
    let mut put = |name: &str, value: Json| object.insert(name.to_owned(), value);
    put("specversion", "1.0".into());
    put("id", event.position.to_string().into());
    put("source", format!("/{origin}").into());
    put("type", format!("snakepit.{}", event.payload.name()).into());
    put("datacontenttype", "application/json".into());
    put("data", told.into());
    let optional = [
        ("time", time(event.time_ms)),
        ("subject", event.session_id.clone()),
    ];
    for (name, text) in optional {
        if !text.is_empty() {
            put(name, text.into());
        }
    }
    object
}

/// An event as one object, with all that stands in a line.
pub(in super::super) fn line(
    form: Form,
    origin: &str,
    event: &Event,
    stored: &StoredEvent,
) -> Json {
    let mut object = object(form, origin, event);
    let (hash, bytes) = form.names();
    object.insert(hash.into(), hex(&stored.hash).into());
    object.insert(bytes.into(), STANDARD.encode(&stored.event).into());
    json!(object)
}

/// Which cluster the events are of.
pub(super) async fn cluster_id(
    context: &Context,
    of: &source::Selection,
) -> Result<String, CliError> {
    match &of.dir {
        None => Ok(context.client()?.status().await?.cluster_id),
        Some(dir) => {
            let dir = source::data_dirs(dir)?.swap_remove(0);
            let identity = snakepit_storage::Identity::read(&dir);
            let identity = identity.map_err(CliError::failed)?;
            identity
                .map(|identity| identity.cluster_id)
                .ok_or_else(|| CliError::failed(format!("{} is of no cluster", dir.display())))
        }
    }
}
