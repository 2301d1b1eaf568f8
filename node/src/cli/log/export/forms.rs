//! What an event is in an export.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
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

/// An event as one object, as it stands in a line.
pub(in super::super) struct Line<'a> {
    pub(in super::super) form: Form,
    /// Of the cluster, for CloudEvents.
    pub(in super::super) origin: &'a str,
    pub(in super::super) event: &'a Event,
    /// For its hash and its bytes, which are left out where it is not given.
    pub(in super::super) stored: Option<&'a StoredEvent>,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let event = self.event;
        let mut object = to.serialize_map(None)?;
        match self.form {
            Form::Jsonl | Form::Parquet => view::put_fields(event, &mut object)?,
            Form::Cloudevents => {
                object.serialize_entry("specversion", "1.0")?;
                object.serialize_entry("id", &event.position.to_string())?;
                object.serialize_entry("source", &format!("/{}", self.origin))?;
                let kind = format!("snakepit.{}", event.payload.name());
                object.serialize_entry("type", &kind)?;
                let time = time(event.time_ms);
                if !time.is_empty() {
                    object.serialize_entry("time", &time)?;
                }
                if !event.session_id.is_empty() {
                    object.serialize_entry("subject", &event.session_id)?;
                }
                object.serialize_entry("datacontenttype", "application/json")?;
                object.serialize_entry("data", &Data(event))?;
            }
        }
        if let Some(stored) = self.stored {
            let (hash, bytes) = self.form.names();
            object.serialize_entry(hash, &hex(&stored.hash))?;
            object.serialize_entry(bytes, &STANDARD.encode(&stored.event))?;
        }
        object.end()
    }
}

/// What a CloudEvent carries.
struct Data<'a>(&'a Event);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut object = to.serialize_map(None)?;
        view::put_fields(self.0, &mut object)?;
        object.end()
    }
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
