//! One call: metadata, tries, failover, deadline.

use std::future::Future;
use std::time::Duration;

use snakepit_proto::headers;
use snakepit_proto::transport::WholeRequests;
use tokio::time::{Instant, sleep, timeout};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tracing::debug;

use crate::error::{Failure, is_timeout, rounded};
use crate::pool::Node;
use crate::{Answer, Client, ClientError, backoff};

/// Largest message taken from a node.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// A try with less time than this is not begun.
const ATTEMPT_MIN: Duration = Duration::from_millis(5);

/// When a call may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing: always.
    Read,
    /// It carries a request id: always, with the same one.
    Deduplicated,
    /// Only where it has certainly not begun.
    Once,
}

/// How long one try may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// A share of the call's budget.
    Attempt,
    /// All that is left of it.
    Whole,
    /// As `Attempt` until the stream begins; the stream itself has no end.
    Stream,
}

/// A call that failed some of its tries.
struct Tries {
    began: Instant,
    deadline: Instant,
    count: usize,
    maybe_done: bool,
}

impl Client {
    /// Ask until there is an answer, a failure that another try cannot mend, or no time left.
    pub(crate) async fn call<Q, A, F>(
        &self,
        repeat: Repeat,
        patience: Patience,
        request: Q,
        send: impl Fn(WholeRequests<Channel>, Request<Q>) -> F,
    ) -> Result<Answer<A>, ClientError>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let request_id = match (&self.request_id, repeat) {
            (_, Repeat::Read) => None,
            (Some(given), _) => Some(given.to_string()),
            (None, _) => Some(self.options.request_ids.next()),
        };
        let began = Instant::now();
        let deadline = began + self.options.timeout;
        let mut tries = Tries {
            began,
            deadline,
            count: 0,
            maybe_done: false,
        };
        loop {
            let (number, node) = self.node();
            let budget = self.budget(patience, deadline);
            let mut framed = Request::new(request.clone());
            self.stamp(&mut framed, request_id.as_deref())?;
            if patience != Patience::Stream {
                framed.set_timeout(budget);
            }
            let failure = match timeout(budget, send(WholeRequests(node.channel), framed)).await {
                Ok(Ok(response)) => return Ok(Answer::of(response)),
                Ok(Err(status)) if !is_timeout(&status) => {
                    Failure::of(node.endpoint.authority(), &status)
                }
                _ => Failure::silent(node.endpoint.authority(), budget),
            };
            let wait = self.after(number, &mut tries, repeat, failure)?;
            sleep(wait).await;
        }
    }

    /// What follows a failed try: another one after a wait, or the end.
    fn after(
        &self,
        number: usize,
        tries: &mut Tries,
        repeat: Repeat,
        failure: Failure,
    ) -> Result<Duration, ClientError> {
        debug!(error = %failure.error, tries.count, "a try failed");
        tries.count += 1;
        tries.maybe_done |= failure.maybe_done;
        let again = failure.transient && (repeat != Repeat::Once || !failure.maybe_done);
        if failure.transient && self.pinned.is_none() {
            match failure.leader.as_deref().map(str::parse) {
                Some(Ok(leader)) => self.pool.follow(number, &leader),
                _ => self.pool.leave(number),
            }
        }
        if !again {
            return Err(match failure.error {
                // It was refused at the door: what became of an earlier try is not known by that.
                ClientError::Exhausted(text) if tries.maybe_done => ClientError::Unknown(text),
                error => error,
            });
        }
        let nodes = if self.pinned.is_some() {
            1
        } else {
            self.pool.len()
        };
        let wait = backoff::wait(tries.count, nodes);
        if Instant::now() + wait + ATTEMPT_MIN < tries.deadline {
            return Ok(wait);
        }
        Err(given_up(tries, repeat, &failure.error))
    }

    fn node(&self) -> (usize, Node) {
        match self.pinned {
            Some(number) => (number, self.pool.at(number)),
            None => self.pool.current(),
        }
    }

    fn budget(&self, patience: Patience, deadline: Instant) -> Duration {
        let left = deadline
            .saturating_duration_since(Instant::now())
            .max(ATTEMPT_MIN);
        match patience {
            Patience::Whole => left,
            Patience::Attempt | Patience::Stream => left.min(self.options.attempt_timeout),
        }
    }

    fn stamp<Q>(
        &self,
        request: &mut Request<Q>,
        request_id: Option<&str>,
    ) -> Result<(), ClientError> {
        let mut put = |name: &'static str, text: &str| {
            let value = MetadataValue::try_from(text).map_err(|_| {
                let hint = "hint: use visible ASCII characters";
                ClientError::Invalid(format!("{name} cannot be {text:?}; {hint}"))
            })?;
            request.metadata_mut().insert(name, value);
            Ok(())
        };
        if !self.options.principal.is_empty() {
            put(headers::PRINCIPAL, &self.options.principal)?;
        }
        put(headers::CONSISTENCY, self.options.consistency.name())?;
        if self.raw_arrays {
            put(headers::ARRAYS, "raw")?;
        }
        let Some(request_id) = request_id else {
            return Ok(());
        };
        if let Some(optimization_id) = &self.optimization_id {
            put(headers::OPTIMIZATION_ID, optimization_id)?;
        }
        if let Some(key) = &self.idempotency_key {
            put(headers::IDEMPOTENCY_KEY, key)?;
        }
        put(headers::REQUEST_ID, request_id)
    }
}

fn given_up(tries: &Tries, repeat: Repeat, last: &ClientError) -> ClientError {
    let spent = rounded(tries.began.elapsed());
    let count = tries.count;
    let word = if count == 1 { "try" } else { "tries" };
    let text = format!(
        "given up after {spent} and {count} {word}: {}",
        last.message()
    );
    if tries.maybe_done && repeat != Repeat::Read {
        ClientError::Unknown(text)
    } else {
        ClientError::Unavailable(text)
    }
}
