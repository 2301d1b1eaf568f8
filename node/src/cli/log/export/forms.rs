//! What a line of an export is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use snakepit_client::StoredEvent;
use snakepit_machine::Event;

use super::super::super::error::CliError;
use super::super::super::globals::Context;
use super::super::super::output::{hex, time};
use super::super::{source, view};
use super::Form;

/// An event as one object, with the stored bytes.
pub(super) fn line(form: Form, cluster_id: &str, event: &Event, stored: &StoredEvent) -> Json {
    let mut told = view::json(event, &stored.hash);
    let bytes = STANDARD.encode(&stored.event);
    match form {
        Form::Jsonl => {
            told["bytes"] = bytes.into();
            told
        }
        Form::Cloudevents => {
            if let Json::Object(told) = &mut told {
                told.remove("hash");
            }
            let mut line = json!({
                "specversion": "1.0",
                "id": event.position.to_string(),
                "source": format!("/snakepit/{cluster_id}"),
                "type": format!("snakepit.{}", event.payload.name()),
                "time": time(event.time_ms),
                "datacontenttype": "application/json",
                "data": told,
                "snakepithash": hex(&stored.hash),
                "snakepitbytes": bytes,
            });
            if !event.session_id.is_empty() {
                line["subject"] = event.session_id.clone().into();
            }
            line
        }
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
