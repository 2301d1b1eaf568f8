//! A session as it was just before a call, as a session of its own in which the call runs again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;
use snakepit_client::{Client, ClientError, Moment, SessionExport};
use snakepit_machine::Value;
use snakepit_proto::values;

use super::super::super::error::CliError;
use super::super::super::log::payload;
use super::super::super::output::note;
use super::recorded::{REPLAY_OF, Recorded, program, variable};

/// What ids of copies begin with.
pub(super) const PREFIX: &str = "replay-";
/// Life of a copy beyond the time that its call has: it ends by itself where nobody ends it.
const LIFE_BEYOND: Duration = Duration::from_secs(120);

/// What a session held of one variable or program: which one it is, its version, and its value.
type Held = (String, i32, Option<Json>);

/// A copy.
pub(super) struct Copy<'a> {
    client: &'a Client,
    pub(super) id: String,
    held: BTreeMap<String, Held>,
    /// Variables that the call had read at another version than the copy's: somebody else wrote them while it
    /// ran.
    pub(super) moved: Vec<String>,
}

impl<'a> Copy<'a> {
    /// Make one for a call of a session.
    pub(super) async fn make(
        client: &'a Client,
        call: &Recorded,
        time: Duration,
    ) -> Result<Self, CliError> {
        let moment = Moment::Position(call.position.saturating_sub(1));
        let exported = client.export_session_at(&call.session, moment).await;
        let mut export = exported.map_err(of_copy)?.value;
        let moved = moved(call, &export);
        let id = format!("{PREFIX}{}", uuid::Uuid::now_v7());
        let life = time.saturating_add(LIFE_BEYOND).as_secs();
        if let Some(config) = &mut export.config {
            config.ttl_seconds = i64::try_from(life).unwrap_or(i64::MAX);
        }
        export
            .metadata
            .insert(REPLAY_OF.to_owned(), call.call_id.clone());
        client.import_session(&id, export).await.map_err(of_copy)?;
        let mut copy = Self {
            client,
            id,
            held: BTreeMap::new(),
            moved,
        };
        match copy.now().await {
            Ok(held) => {
                copy.held = held;
                Ok(copy)
            }
            Err(error) => {
                copy.end().await;
                Err(error)
            }
        }
    }

    /// What was written since it was made: the values behind that, `None` where it was deleted.
    pub(super) async fn written(&self) -> Result<BTreeMap<String, Option<Json>>, CliError> {
        let now = self.now().await?;
        let mut written = BTreeMap::new();
        for what in self.held.keys().filter(|what| !now.contains_key(*what)) {
            written.insert(what.clone(), None);
        }
        for (what, held) in now {
            let same = |before: &Held| (&before.0, before.1) == (&held.0, held.1);
            if !self.held.get(&what).is_some_and(same) {
                written.insert(what, held.2);
            }
        }
        Ok(written)
    }

    /// End it. Where that fails it is told: it ends by itself then.
    pub(super) async fn end(self) {
        if let Err(error) = self.client.end_session(&self.id, true).await {
            note(&format!(
                "the copy {} is still there and ends by itself: {}",
                self.id,
                error.message()
            ));
        }
    }

    async fn now(&self) -> Result<BTreeMap<String, Held>, CliError> {
        let export = self
            .client
            .export_session(&self.id)
            .await
            .map_err(of_copy)?;
        let mut held = BTreeMap::new();
        for found in export.value.variables {
            let value = json(found.value.as_ref(), &found.binary_value)?;
            held.insert(variable(&found.name), (found.id, found.version, value));
        }
        for found in export.value.programs {
            let value = json(found.value.as_ref(), &found.binary_value)?;
            let id = String::new();
            held.insert(program(&found.program_id), (id, found.version, value));
        }
        Ok(held)
    }
}

/// What the call had read of its session that the copy does not have, and that the call did not write itself.
fn moved(call: &Recorded, export: &SessionExport) -> Vec<String> {
    let of_session = call.reads.noted.iter();
    let of_session = of_session.filter(|read| read.session_id == call.session);
    let others = of_session.filter(|read| !call.went.written.contains_key(&variable(&read.name)));
    let mut moved: Vec<_> = others
        .filter(|read| {
            let held = export.variables.iter().find(|held| held.name == read.name);
            held.is_none_or(|held| u64::try_from(held.version) != Ok(read.version))
        })
        .map(|read| format!("{}@{}", read.name, read.version))
        .collect();
    moved.sort();
    moved
}

fn of_copy(error: ClientError) -> CliError {
    let told = format!("the session cannot be copied: {}", error.message());
    match error {
        ClientError::Unavailable(_) => error.into(),
        _ => CliError::failed(told),
    }
}

/// A value as the log shows it, so that both are alike.
fn json(any: Option<&prost_types::Any>, payload: &[u8]) -> Result<Option<Json>, CliError> {
    let Some(any) = any else { return Ok(None) };
    let value: Value = values::decode(any, payload).map_err(CliError::failed)?;
    Ok(Some(payload::value_json(&value)))
}
