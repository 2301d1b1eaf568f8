//! Watching variables: a stream that goes on at another node where one fails.

use std::collections::{BTreeMap, HashSet};
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, stream};
use snakepit_proto::bridge::{
    VariableUpdate, WatchVariablesRequest, bridge_service_client::BridgeServiceClient,
};
use snakepit_proto::times;
use tokio::time::{Instant, sleep};
use tonic::Streaming;

use crate::call::{MESSAGE_BYTES_MAX, Patience, Repeat};
use crate::error::Failure;
use crate::{Client, ClientError, Variable};

/// Who changed something, and through what.
pub use snakepit_proto::bridge::ChangeCause;

/// Waits between attempts at a stream that breaks again and again without an update in between.
const REOPEN_WAIT: Duration = Duration::from_millis(200);
/// Breaks in a row, without an update in between, after which a stream gives up.
const BREAKS_MAX: u32 = 5;
/// A stream that held so long was sound.
const SOUND_AFTER: Duration = Duration::from_secs(5);
const INITIAL: &str = "initial_value";

/// Updates in the order of the log, each once.
pub type UpdateStream = Pin<Box<dyn Stream<Item = Result<Update, ClientError>> + Send>>;

/// What to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchQuery {
    /// The session.
    pub session: String,
    /// Ids and names of variables; none for the whole session.
    pub identifiers: Vec<String>,
    /// Give the values of the moment first.
    pub initial: bool,
    /// Go on behind the update of this position; 0 begins now.
    pub after_position: u64,
}

/// A change of a variable, or its initial value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// `initial_value`, `value_change`, `rollback`, `registered`, `constraint_change`, `deleted`,
    /// `access_change`, `dependency_change`, `optimization_started` or `optimization_stopped`.
    pub kind: String,
    /// The variable; without a value where it was deleted.
    pub variable: Variable,
    /// What the change added to the variable's metadata.
    pub metadata: BTreeMap<String, String>,
    /// When it was, milliseconds since 1970.
    pub time_ms: u64,
    /// Position behind which a watch goes on; 0 for initial values that others follow.
    pub position: u64,
    /// Log index of the change; 0 for initial values.
    pub raft_index: u64,
    /// Who, and through what.
    pub cause: ChangeCause,
}

impl TryFrom<VariableUpdate> for Update {
    type Error = ClientError;

    fn try_from(update: VariableUpdate) -> Result<Self, ClientError> {
        let mut variable = Variable::try_from(update.variable.unwrap_or_default())?;
        variable.id = update.variable_id;
        Ok(Self {
            kind: update.update_type,
            variable,
            metadata: update.update_metadata,
            time_ms: update.timestamp.as_ref().map_or(0, times::millis),
            position: update.position,
            raft_index: update.raft_index,
            cause: update.cause.unwrap_or_default(),
        })
    }
}

struct Open {
    updates: Streaming<VariableUpdate>,
    since: Instant,
    /// The node that serves it, by its number in the pool.
    node: usize,
}

struct Watching {
    client: Client,
    query: WatchQuery,
    open: Option<Open>,
    /// Log index before the watch began; `None` until it is known.
    began: Option<u64>,
    /// Initial values that were given, by id and version, until all of them were.
    given: HashSet<(String, i32)>,
    breaks: u32,
    done: bool,
}

impl Client {
    /// Watch variables. Where the connection or the node fails, goes on at another node behind the last update:
    /// nothing is left out and nothing comes twice. The stream ends with an error only.
    ///
    /// # Errors
    ///
    /// `NotFound` where the session, or a variable that is named, does not exist, and when the session ends;
    /// `Denied` where rules forbid it; `Conflict` where the caller takes updates slower than they come: watch
    /// again behind the last position.
    pub fn watch_variables(&self, query: WatchQuery) -> UpdateStream {
        let watching = Watching {
            client: self.clone(),
            query,
            open: None,
            began: None,
            given: HashSet::new(),
            breaks: 0,
            done: false,
        };
        Box::pin(stream::unfold(watching, |mut watching| async move {
            let item = watching.next().await?;
            watching.done |= item.is_err();
            Some((item, watching))
        }))
    }
}

impl Watching {
    async fn next(&mut self) -> Option<Result<Update, ClientError>> {
        while !self.done {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => match self.open().await {
                    Ok(open) => open,
                    Err(error) => return Some(Err(error)),
                },
            };
            match open.updates.message().await {
                Ok(Some(update)) => {
                    self.open = Some(open);
                    self.breaks = 0;
                    if self.is_new(&update) {
                        return Some(Update::try_from(update));
                    }
                }
                // A node that stops ends its streams without a word.
                Ok(None) => {
                    let text = format!("{}: the stream ended", self.client.endpoint());
                    if let Err(error) = self.broke(&open, None, ClientError::Unavailable(text)) {
                        return Some(Err(error));
                    }
                }
                Err(status) => {
                    let endpoint = self.client.pool.at(open.node).endpoint;
                    let failure = Failure::of(endpoint.authority(), &status);
                    if !failure.transient {
                        return Some(Err(failure.error));
                    }
                    let leader = failure.leader.as_deref();
                    if let Err(error) = self.broke(&open, leader, failure.error) {
                        return Some(Err(error));
                    }
                }
            }
            if self.open.is_none() {
                sleep(REOPEN_WAIT * self.breaks.saturating_sub(1)).await;
            }
        }
        None
    }

    /// Ask for what comes behind the last update.
    async fn open(&mut self) -> Result<Open, ClientError> {
        let session_id = self.query.session.clone();
        let mut request = WatchVariablesRequest {
            session_id: session_id.clone(),
            variable_identifiers: self.query.identifiers.clone(),
            after_position: self.query.after_position,
            ..Default::default()
        };
        if request.after_position == 0 {
            match self.began {
                // Nothing has come yet, but changes may have been made since.
                Some(index) if !self.query.initial => request.after_index = index,
                _ => request.include_initial_values = self.query.initial,
            }
        }
        if self.began.is_none() && request.after_position == 0 && !self.query.initial {
            self.began = Some(self.client.get_session(&session_id).await?.index);
        }
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .watch_variables(request)
                .await
        };
        let client = &self.client;
        let answer = client
            .call(Repeat::Read, Patience::Stream, request, send)
            .await?;
        Ok(Open {
            updates: answer.value,
            since: Instant::now(),
            node: client.pinned.unwrap_or_else(|| client.pool.current().0),
        })
    }

    /// Keep the position; false for an initial value that was given before its stream broke.
    fn is_new(&mut self, update: &VariableUpdate) -> bool {
        self.query.after_position = update.position.max(self.query.after_position);
        if update.update_type != INITIAL {
            self.given = HashSet::new();
            return true;
        }
        let version = update.variable.as_ref().map_or(0, |v| v.version);
        let new = self.given.insert((update.variable_id.clone(), version));
        if update.position > 0 {
            self.given = HashSet::new();
        }
        new
    }

    /// A stream broke: leave its node, unless too many broke.
    fn broke(
        &mut self,
        open: &Open,
        leader: Option<&str>,
        error: ClientError,
    ) -> Result<(), ClientError> {
        if open.since.elapsed() >= SOUND_AFTER {
            self.breaks = 0;
        }
        self.breaks += 1;
        if self.breaks > BREAKS_MAX {
            return Err(error);
        }
        if self.client.pinned.is_none() {
            match leader.map(str::parse) {
                Some(Ok(leader)) => self.client.pool.follow(open.node, &leader),
                _ => self.client.pool.leave(open.node),
            }
        }
        Ok(())
    }
}
