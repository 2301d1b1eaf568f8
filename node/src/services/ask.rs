//! What a request's metadata says: who asks, how fresh the answer must be, how long it may take.

use std::sync::Arc;
use std::time::Duration;

use snakepit_machine::{ID_BYTES_MAX, Origin, Principal};
use snakepit_proto::bridge::Variable;
use snakepit_proto::headers;
use snakepit_proto::values::Arrays;
use snakepit_raft::Consistency;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;

use super::seal::Opener;
use super::wire::Look;
use super::{Failure, Node, correlation};
use crate::pool::CallContext;
use crate::telemetry::trace::TraceContext;

/// A request gives up so much before its caller does, and a tenth of its time at most: at the deadline
/// itself the caller's own clock would end it, and nobody would learn whether it is done.
const ANSWER_AHEAD_MAX: Duration = Duration::from_millis(100);

/// A request, apart from its message.
#[derive(Debug)]
pub struct Ask {
    /// Name of the call.
    pub name: &'static str,
    /// Who asks, and through what.
    pub origin: Arc<Origin>,
    /// How fresh the answer must be.
    pub consistency: Consistency,
    /// Whether the caller said so.
    pub consistency_named: bool,
    /// How the caller takes embeddings and tensors.
    pub arrays: Arrays,
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// Whether the caller named a deadline.
    pub has_deadline: bool,
    /// Follows the piece of work through all hops; empty where the caller named none and calls no tool.
    pub correlation_id: String,
    /// The trace that the request belongs to, as those who work for it take it: this node's span where it makes
    /// spans, else the caller's; empty where there is none.
    pub trace: TraceContext,
    /// The tool call that makes the request, where one does.
    pub call: Option<CallContext>,
    /// Opens what is sealed.
    pub(super) opener: Opener,
    /// Its place among the requests served at once.
    _place: OwnedSemaphorePermit,
}

impl Node {
    /// Read a request's metadata.
    pub fn ask(&self, metadata: &MetadataMap) -> Result<Ask, Failure> {
        self.check_in_service()?;
        let Ok(place) = self.requests.clone().try_acquire_owned() else {
            return Err(Failure::Exhausted(format!(
                "{} requests are served at once, the limit concurrent_requests_max; hint: back off and retry",
                self.settings.limits.concurrent_requests_max
            )));
        };
        let call = match text(metadata, headers::CALL_TOKEN)? {
            Some(token) => Some(self.pools.context_of_token(token).ok_or_else(|| {
                Failure::Refused("the call that made this request has ended; hint: use the session while the tool runs".into())
            })?),
            None => None,
        };
        let declared = bounded(metadata, headers::PRINCIPAL)?.unwrap_or_default();
        let request_id = bounded(metadata, headers::REQUEST_ID)?.unwrap_or_default();
        let called = call.clone().unwrap_or_default();
        let name = if call.is_some() {
            called.principal.clone()
        } else {
            declared.to_owned()
        };
        let origin = Origin {
            request_id: request_id.to_owned(),
            principal: Principal {
                name,
                verified: false,
            },
            call_id: called.call_id,
            tool: called.tool,
            worker: called.worker_id,
            node: self.id(),
            optimization_id: bounded(metadata, headers::OPTIMIZATION_ID)?
                .unwrap_or_default()
                .to_owned(),
        };
        let asked = timeout(metadata)?;
        let longest = Duration::from_millis(self.settings.limits.request_timeout_ms);
        Ok(Ask {
            name: "",
            origin: Arc::new(origin),
            consistency: consistency(metadata)?,
            consistency_named: metadata.contains_key(headers::CONSISTENCY),
            arrays: arrays(metadata)?,
            deadline: Instant::now() + asked.map_or(longest, |asked| ahead(asked).min(longest)),
            has_deadline: asked.is_some(),
            correlation_id: correlation::of_headers(metadata)?,
            trace: TraceContext::of(metadata),
            call,
            opener: self.opener(),
            _place: place,
        })
    }

    /// A request that the node makes itself, for somebody.
    pub(super) fn own_ask(&self, principal: &str) -> Result<Ask, Failure> {
        let mut ask = self.ask(&MetadataMap::new())?;
        let origin = Arc::make_mut(&mut ask.origin);
        origin.principal.name = principal.to_owned();
        Ok(ask)
    }

    /// The deadline that the caller named, however late it is: calls of tools may take longer than requests.
    pub(super) fn named_deadline(metadata: &MetadataMap) -> Result<Option<Duration>, Failure> {
        Ok(timeout(metadata)?.map(ahead))
    }
}

impl Ask {
    /// As [`CallContext::note_read`], where a call asks.
    pub(super) fn note_read(&self, session_id: &str, name: &str, version: u64) {
        if let Some(call) = &self.call {
            call.note_read(session_id, name, version);
        }
    }

    /// As [`CallContext::note_shown`], where a call asks.
    pub(super) fn note_shown(&self, session_id: &str, variable: &Variable) {
        if let Some(call) = &self.call {
            call.note_shown(session_id, variable);
        }
    }

    /// How rows are shown to the caller, at a time.
    pub(super) fn look(&self, now_ms: u64) -> Look {
        Look {
            now_ms,
            arrays: self.arrays,
            origin: self.origin.clone(),
            opener: self.opener.clone(),
        }
    }
}

/// When to answer a caller who waits so long.
fn ahead(asked: Duration) -> Duration {
    asked - (asked / 10).min(ANSWER_AHEAD_MAX)
}

fn text<'a>(metadata: &'a MetadataMap, name: &'static str) -> Result<Option<&'a str>, Failure> {
    metadata
        .get(name)
        .map(|value| {
            value.to_str().map_err(|_| {
                Failure::Invalid(format!("{name} is not printable ASCII; hint: encode it"))
            })
        })
        .transpose()
}

fn bounded<'a>(metadata: &'a MetadataMap, name: &'static str) -> Result<Option<&'a str>, Failure> {
    let value = text(metadata, name)?;
    match value {
        Some(value) if value.len() > ID_BYTES_MAX => Err(Failure::Invalid(format!(
            "{name} has {} bytes, the limit is {ID_BYTES_MAX}; hint: shorten it",
            value.len()
        ))),
        _ => Ok(value),
    }
}

fn arrays(metadata: &MetadataMap) -> Result<Arrays, Failure> {
    match text(metadata, headers::ARRAYS)? {
        None | Some("json") => Ok(Arrays::Json),
        Some("raw") => Ok(Arrays::Raw),
        Some(other) => Err(Failure::Invalid(format!(
            "{} is {other}; hint: use raw or json",
            headers::ARRAYS
        ))),
    }
}

fn consistency(metadata: &MetadataMap) -> Result<Consistency, Failure> {
    match text(metadata, headers::CONSISTENCY)? {
        None | Some("linearizable") => Ok(Consistency::Linearizable),
        Some("lease") => Ok(Consistency::Lease),
        Some("stale") => Ok(Consistency::Stale),
        Some(other) => Err(Failure::Invalid(format!(
            "{} is {other}; hint: use linearizable, lease or stale",
            headers::CONSISTENCY
        ))),
    }
}

/// `grpc-timeout`: up to eight digits and a unit, see the gRPC specification.
fn timeout(metadata: &MetadataMap) -> Result<Option<Duration>, Failure> {
    let Some(value) = text(metadata, "grpc-timeout")? else {
        return Ok(None);
    };
    let bad = || {
        Failure::Invalid(format!(
            "grpc-timeout is {value}; hint: use up to eight digits and one of H M S m u n"
        ))
    };
    let digits = value
        .len()
        .checked_sub(1)
        .filter(|digits| (1..=8).contains(digits))
        .ok_or_else(bad)?;
    let (number, unit) = value.split_at_checked(digits).ok_or_else(bad)?;
    let number: u64 = number.parse().map_err(|_| bad())?;
    let timeout = match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return Err(bad()),
    };
    Ok(Some(timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read() {
        let read = |value: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", value.parse().unwrap());
            timeout(&metadata)
        };
        assert_eq!(read("100m").unwrap(), Some(Duration::from_millis(100)));
        assert_eq!(read("2S").unwrap(), Some(Duration::from_secs(2)));
        for bad in ["", "m", "1x", "123456789S", "-1S"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
