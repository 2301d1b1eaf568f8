//! The sessions and variables that a benchmark works on.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rand::Rng as _;
use rand::distr::Alphanumeric;
use serde_json::Value as Json;
use snakepit_client::{Client, ClientError, Registration};

use super::super::error::CliError;
use super::super::output::note;

/// Sessions live on so long after a benchmark that could not delete them.
const TTL: Duration = Duration::from_secs(600);
const CLIENTS_PER_SESSION: usize = 8;
/// Requests under way while things are made.
const REQUESTS_MAX: usize = 16;
/// Where these are many.
const REQUESTS_MAX_OF_MANY: usize = 64;
/// Variables of the session that `list` lists.
pub(super) const LISTED: usize = 10_000;
/// Versions of the variable whose history `history` reads.
const VERSIONS: usize = 100_000;

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

    /// The session and the variables of a client's batch.
    pub fn batch_of(&self, client: usize, size: usize) -> (String, impl Iterator<Item = String>) {
        (
            self.of(client).0,
            (0..size).map(|number| format!("b{number}")),
        )
    }

    /// Make the variables of batches, in all sessions.
    pub async fn make_batches(&self, client: &Client, size: usize) -> Result<(), ClientError> {
        let pairs = (0..self.sessions).flat_map(|session| (0..size).map(move |b| (session, b)));
        let registrations = pairs.map(|(session, number)| {
            self.register(client, self.session(session), format!("b{number}"))
        });
        all(registrations).await
    }

    /// The session that `list` lists.
    pub fn listed(&self) -> String {
        format!("bench-{}-list", self.run)
    }

    /// Make it, and what is in it.
    pub async fn make_listed(&self, client: &Client) -> Result<(), ClientError> {
        let id = self.listed();
        client
            .create_session(&id, Some(TTL), BTreeMap::new())
            .await?;
        all((0..LISTED).map(|number| self.register(client, id.clone(), format!("l{number:05}"))))
            .await
    }

    /// The session and the variable whose history `history` reads.
    pub fn with_history(&self) -> (String, String) {
        (self.session(0), "history".to_owned())
    }

    /// Make it, and its versions.
    pub async fn make_history(&self, client: &Client) -> Result<(), ClientError> {
        let (session, name) = self.with_history();
        self.register(client, session.clone(), name.clone()).await?;
        let value = Json::String(self.value.clone());
        let (session, name, value) = (&session, &name, &value);
        let sets = (1..VERSIONS).map(|_| async move {
            client
                .set_variable(session, name, value, None)
                .await
                .map(drop)
        });
        all(sets).await
    }

    /// A variable for watchers, at version 1; its session and name.
    pub async fn make_watched(&self, client: &Client) -> Result<(String, String), ClientError> {
        let (session, name) = (self.session(0), "watched".to_owned());
        self.register(client, session.clone(), name.clone()).await?;
        Ok((session, name))
    }

    async fn register(
        &self,
        client: &Client,
        session: String,
        name: String,
    ) -> Result<(), ClientError> {
        let registration = Registration {
            name,
            type_name: "string".to_owned(),
            value: Json::String(self.value.clone()),
            ..Default::default()
        };
        client
            .register_variable(&session, registration)
            .await
            .map(drop)
    }

    /// Delete all of it; what cannot be deleted expires.
    pub async fn delete(&self, client: &Client) {
        let ids = (0..self.sessions).map(|number| self.session(number));
        let deletions = ids
            .chain([self.listed()])
            .map(|id| async move { client.delete_session(&id).await });
        let deletions = stream::iter(deletions);
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
        let variables = (0..clients).map(|number| {
            let (session, name) = self.of(number);
            self.register(client, session, name)
        });
        Ok(all(variables).await?)
    }

    fn session(&self, number: usize) -> String {
        format!("bench-{}-{number}", self.run)
    }
}

async fn all(
    of: impl Iterator<Item = impl Future<Output = Result<(), ClientError>>>,
) -> Result<(), ClientError> {
    let running = stream::iter(of).buffer_unordered(REQUESTS_MAX_OF_MANY);
    running.try_for_each(|()| async { Ok(()) }).await
}
