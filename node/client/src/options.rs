//! How a client behaves.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

/// What a read may miss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// Nothing that was acknowledged before it began.
    #[default]
    Linearizable,
    /// Nothing, as long as clocks run at about the same speed.
    Lease,
    /// Whatever the asked node has not applied yet.
    Stale,
}

impl Consistency {
    /// As it travels in `x-snakepit-consistency`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linearizable => "linearizable",
            Self::Lease => "lease",
            Self::Stale => "stale",
        }
    }
}

/// Gives each request that changes something its id.
#[derive(Clone)]
pub struct RequestIds(Arc<dyn Fn() -> String + Send + Sync>);

impl RequestIds {
    /// Ids from a function; it must never give the same one for two different requests.
    pub fn new(generate: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(generate))
    }

    pub(crate) fn next(&self) -> String {
        (self.0)()
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new(|| Uuid::now_v7().to_string())
    }
}

impl fmt::Debug for RequestIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestIds")
    }
}

/// Settings of a client.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Who asks; unverified. Empty: nobody is named.
    pub principal: String,
    /// Budget of each call, all its repeats included.
    pub timeout: Duration,
    /// Budget of one try at a call that may be repeated; a node that says nothing for so long is left for
    /// another.
    pub attempt_timeout: Duration,
    /// Budget of making a connection.
    pub connect_timeout: Duration,
    /// What reads may miss.
    pub consistency: Consistency,
    /// Where request ids come from.
    pub request_ids: RequestIds,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            principal: String::new(),
            timeout: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(4),
            connect_timeout: Duration::from_secs(1),
            consistency: Consistency::Linearizable,
            request_ids: RequestIds::default(),
        }
    }
}
