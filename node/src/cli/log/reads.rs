//! What a call had read, with the values as they were.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use snakepit_client::{Client, ClientError, Moment, SessionExport, any_to_json};
use snakepit_machine::{CallRead, CallReads};

use super::super::error::CliError;
use super::super::output::cut;

/// Reads that a table shows of one call, in characters.
const READS_CHARS: usize = 60;

/// Something that was looked up, or why it cannot be told.
type Told<T> = Result<T, String>;
/// A version of a variable: position of the event that made it, and its value.
type Version = (u64, Json);

/// Looks values up as anybody must: by what may be read now and might be read then.
pub(super) struct Values<'a> {
    client: &'a Client,
    versions: BTreeMap<(String, String, u64), Told<Version>>,
    pasts: BTreeMap<(String, u64), Told<SessionExport>>,
}

impl<'a> Values<'a> {
    pub(super) fn new(client: &'a Client) -> Self {
        Self {
            client,
            versions: BTreeMap::new(),
            pasts: BTreeMap::new(),
        }
    }

    /// The reads of a call that wrote at one position and was journaled at a later one.
    ///
    /// # Errors
    ///
    /// Only where no node answers: a value that cannot be told says so.
    pub(super) async fn of(
        &mut self,
        reads: &CallReads,
        written: u64,
        journaled: u64,
    ) -> Result<Vec<Json>, CliError> {
        let mut told = Vec::with_capacity(reads.noted.len());
        for read in &reads.noted {
            let mut object = json!({
                "session": read.session_id,
                "variable": read.name,
                "version": read.version,
            });
            let (key, value) = match self.value(read, written, journaled).await? {
                Ok(value) => ("value", value),
                Err(reason) => ("not_told", Json::from(reason)),
            };
            object[key] = value;
            told.push(object);
        }
        Ok(told)
    }

    async fn value(
        &mut self,
        read: &CallRead,
        written: u64,
        journaled: u64,
    ) -> Result<Told<Json>, CliError> {
        let by_history = self.in_history(read).await?;
        match by_history {
            // Of a variable that was deleted and registered again since, the version is another one.
            Ok((position, value)) if position < journaled => Ok(Ok(value)),
            Ok(_) => self.in_past(read, written).await,
            Err(reason) => match self.in_past(read, written).await? {
                Ok(value) => Ok(Ok(value)),
                Err(_) => Ok(Err(reason)),
            },
        }
    }

    /// By the history of the variable as it is.
    async fn in_history(&mut self, read: &CallRead) -> Result<Told<Version>, CliError> {
        let key = (read.session_id.clone(), read.name.clone(), read.version);
        if let Some(known) = self.versions.get(&key) {
            return Ok(known.clone());
        }
        let before = Some(read.version.saturating_add(1));
        let asked = self
            .client
            .variable_history(&read.session_id, &read.name, 1, before);
        let found = told(asked.await)?.and_then(|answer| {
            let entry = answer.value.entries.into_iter().next();
            entry
                .filter(|entry| entry.version == read.version)
                .map(|entry| (entry.position, entry.value))
                .ok_or_else(|| format!("{} has no version {} now", read.name, read.version))
        });
        self.versions.insert(key, found.clone());
        Ok(found)
    }

    /// By the session as it was just before the call wrote: where the variable or the session has gone.
    async fn in_past(&mut self, read: &CallRead, written: u64) -> Result<Told<Json>, CliError> {
        let key = (read.session_id.clone(), written);
        if !self.pasts.contains_key(&key) {
            let moment = Moment::Position(written.saturating_sub(1).max(1));
            let asked = self.client.export_session_at(&read.session_id, moment);
            let past = told(asked.await)?.map(|answer| answer.value);
            self.pasts.insert(key.clone(), past);
        }
        Ok(match &self.pasts[&key] {
            Err(reason) => Err(reason.clone()),
            Ok(past) => {
                let held = past.variables.iter().find(|held| {
                    held.name == read.name && u64::try_from(held.version) == Ok(read.version)
                });
                match held {
                    Some(held) => any_to_json(held.value.as_ref(), &held.binary_value)
                        .map_err(|error| error.message().to_owned()),
                    None => Err(format!(
                        "version {} of {} is not held any more",
                        read.version, read.name
                    )),
                }
            }
        })
    }
}

/// What a node says of a value is told with it; that none answers is an error.
fn told<T>(asked: Result<T, ClientError>) -> Result<Told<T>, CliError> {
    match asked {
        Ok(answer) => Ok(Ok(answer)),
        Err(error @ (ClientError::Unavailable(_) | ClientError::Unknown(_))) => Err(error.into()),
        Err(error) => Ok(Err(error.message().to_owned())),
    }
}

/// `name@version` of each; with its session where that is another one than the writer's.
pub(super) fn short(reads: &CallReads, session: &str) -> String {
    let each = reads.noted.iter().map(|read| {
        let place = if read.session_id == session {
            String::new()
        } else {
            format!("{}/", read.session_id)
        };
        format!("{place}{}@{}", read.name, read.version)
    });
    let more = (reads.left_out > 0).then(|| format!("{} more", reads.left_out));
    let all: Vec<_> = each.chain(more).collect();
    cut(&all.join(", "), READS_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_told_in_short() {
        let read = |session_id: &str, name: &str, version| CallRead {
            session_id: session_id.into(),
            name: name.into(),
            version,
        };
        let mut reads = CallReads {
            noted: vec![read("s", "x", 3), read("t", "y", 1)],
            left_out: 0,
        };
        assert_eq!(short(&reads, "s"), "x@3, t/y@1");
        reads.left_out = 4;
        assert_eq!(short(&reads, "s"), "x@3, t/y@1, 4 more");
        assert_eq!(short(&CallReads::default(), "s"), "");
    }
}
