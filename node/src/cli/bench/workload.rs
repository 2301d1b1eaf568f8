//! The sessions and variables that a benchmark works on.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rand::Rng as _;
use rand::distr::Alphanumeric;
use serde_json::Value as Json;
use snakepit_client::{Client, Registration};

use super::super::error::CliError;
use super::super::output::note;

/// Sessions live on so long after a benchmark that could not delete them.
const TTL: Duration = Duration::from_secs(600);
const CLIENTS_PER_SESSION: usize = 8;
/// Requests under way while things are made.
const REQUESTS_MAX: usize = 16;

/// What there is.
#[derive(Debug)]
pub(super) struct Workload {
    /// Unlike that of any other benchmark.
    pub run: String,
    pub value: String,
    sessions: usize,
    shared: bool,
}

impl Workload {
    /// Make sessions, and a variable for each client.
    pub async fn create(
        client: &Client,
        clients: usize,
        sessions: Option<usize>,
        value_bytes: usize,
    ) -> Result<Self, CliError> {
        let run = uuid::Uuid::now_v7().simple().to_string();
        // Text that no compression makes much shorter.
        let value = rand::rng()
            .sample_iter(Alphanumeric)
            .take(value_bytes)
            .map(char::from)
            .collect();
        let (count, shared) = match sessions {
            Some(count) => (count.min(clients), true),
            None => (clients.div_ceil(CLIENTS_PER_SESSION), false),
        };
        let workload = Self {
            run,
            value,
            sessions: count,
            shared,
        };
        let made = workload.fill(client, clients).await;
        if made.is_err() {
            workload.delete(client).await;
        }
        made.map(|()| workload)
    }

    /// Session and variable of a client.
    pub fn of(&self, client: usize) -> (String, String) {
        let session = if self.shared {
            client % self.sessions
        } else {
            client / CLIENTS_PER_SESSION
        };
        (self.session(session), format!("v{client}"))
    }

    /// Delete all of it; what cannot be deleted expires.
    pub async fn delete(&self, client: &Client) {
        let deletions = stream::iter((0..self.sessions).map(|number| {
            let id = self.session(number);
            async move { client.delete_session(&id).await }
        }));
        let outcomes: Vec<_> = deletions.buffer_unordered(REQUESTS_MAX).collect().await;
        if let Some(error) = outcomes.into_iter().find_map(Result::err) {
            let minutes = TTL.as_secs() / 60;
            note(&format!(
                "some sessions named bench-{} expire in {minutes} minutes: {error}",
                self.run
            ));
        }
    }

    async fn fill(&self, client: &Client, clients: usize) -> Result<(), CliError> {
        let sessions = stream::iter((0..self.sessions).map(|number| {
            let id = self.session(number);
            async move { client.create_session(&id, Some(TTL), BTreeMap::new()).await }
        }));
        sessions
            .buffer_unordered(REQUESTS_MAX)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        let variables = stream::iter((0..clients).map(|number| {
            let (session, name) = self.of(number);
            let registration = Registration {
                name,
                type_name: "string".to_owned(),
                value: Json::String(self.value.clone()),
                ..Default::default()
            };
            async move { client.register_variable(&session, registration).await }
        }));
        variables
            .buffer_unordered(REQUESTS_MAX)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        Ok(())
    }

    fn session(&self, number: usize) -> String {
        format!("bench-{}-{number}", self.run)
    }
}
