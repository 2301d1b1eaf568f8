//! Running a recorded call again, in a copy of its session.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::Value as Json;
use snakepit_client::{Client, ClientError, ExecuteToolRequest};

use super::super::super::error::{CliError, FAILED};
use super::compare::Compared;
use super::copy::Copy;
use super::recorded::{REPLAY_OF, Recorded};
use super::went::{Went, chunk_json};

/// What the first call's metadata says that is not so of another one.
const NOT_REPEATED: [&str; 3] = ["idempotency_key", "correlation_id", "traceparent"];
const POOL: &str = "pool";
const TIMEOUT_MS: &str = "timeout_ms";
/// Looks for the journal of a call that has been answered, and the time between them.
const LOOKS: u32 = 6;
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A call that failed behind so much of its time is taken to have run out of it.
const LATE: f64 = 0.9;

/// How calls are run again.
pub(super) struct Again<'a> {
    pub(super) client: &'a Client,
    /// The pool; `None`: the one that was named then.
    pub(super) pool: Option<&'a str>,
    /// Time for each; `None`: what it had then.
    pub(super) deadline: Option<Duration>,
}

impl Again<'_> {
    /// Run a call again and hold it against what it was. Interrupted, it leaves no copy behind.
    pub(super) async fn run(
        &self,
        call: &Recorded,
        request: &ExecuteToolRequest,
    ) -> Result<Compared, CliError> {
        let time = self.time(call);
        let copy = match call.session.as_str() {
            "" => None,
            _ => Some(Copy::make(self.client, call, time).await?),
        };
        let session = copy.as_ref().map_or("", |copy| copy.id.as_str());
        let request = self.request(call, request, session);
        let ran = tokio::select! {
            ran = self.compared(call, request, copy.as_ref(), time) => ran,
            _ = tokio::signal::ctrl_c() => Err(CliError::said(FAILED)),
        };
        if let Some(copy) = copy {
            copy.end().await;
        }
        ran
    }

    async fn compared(
        &self,
        call: &Recorded,
        request: ExecuteToolRequest,
        copy: Option<&Copy<'_>>,
        time: Duration,
    ) -> Result<Compared, CliError> {
        let client = self.client.clone().with_timeout(time);
        let mut compared = Compared::default();
        let mut went = if call.streams() {
            stream(&client, request, time, &call.chunks, &mut compared).await
        } else {
            once(&client, request, time).await?
        };
        if let Some(copy) = copy {
            went.written = copy.written().await?;
            compared.moved.clone_from(&copy.moved);
        }
        went.tool_version = version(self.client, &went.call_id).await?;
        compared.finish(call, went);
        Ok(compared)
    }

    fn time(&self, call: &Recorded) -> Duration {
        let had = (call.deadline_ms > 0).then(|| Duration::from_millis(call.deadline_ms));
        self.deadline
            .or(had)
            .unwrap_or(self.client.options().timeout)
    }

    /// What the call brought, bit for bit, for another session.
    fn request(
        &self,
        call: &Recorded,
        then: &ExecuteToolRequest,
        session: &str,
    ) -> ExecuteToolRequest {
        let mut request = then.clone();
        session.clone_into(&mut request.session_id);
        request.resume_call_id.clear();
        request.resume_from = 0;
        let metadata = &mut request.metadata;
        for key in NOT_REPEATED {
            metadata.remove(key);
        }
        if self.deadline.is_some() {
            metadata.remove(TIMEOUT_MS);
        }
        if let Some(pool) = self.pool {
            metadata.insert(POOL.to_owned(), pool.to_owned());
        }
        metadata.insert(REPLAY_OF.to_owned(), call.call_id.clone());
        request
    }
}

async fn once(
    client: &Client,
    request: ExecuteToolRequest,
    time: Duration,
) -> Result<Went, CliError> {
    let began = Instant::now();
    match client.call_recorded(request).await {
        Ok(answer) => Went::answered(&answer.value),
        Err(error) => Ok(failed(&error, began, time)),
    }
}

/// Chunks are compared as they come, so that none is kept.
async fn stream(
    client: &Client,
    request: ExecuteToolRequest,
    time: Duration,
    then: &[Json],
    compared: &mut Compared,
) -> Went {
    let began = Instant::now();
    let mut chunks = match client.stream_recorded(request).await {
        Ok(chunks) => chunks,
        Err(error) => return failed(&error, began, time),
    };
    let mut went = Went {
        outcome: "ok".into(),
        ..Went::default()
    };
    while let Some(item) = chunks.next().await {
        match item {
            Ok(chunk) => {
                let number = usize::try_from(went.chunks).unwrap_or(usize::MAX);
                compared.chunk(went.chunks, then.get(number), Some(&chunk_json(&chunk)));
                went.chunks += 1;
                went.call_id = chunk.call_id;
            }
            Err(failure) => {
                failure.outcome.clone_into(&mut went.outcome);
                failure.error.message().clone_into(&mut went.error_message);
                break;
            }
        }
    }
    let number = usize::try_from(went.chunks).unwrap_or(usize::MAX);
    for (at, chunk) in then.iter().enumerate().skip(number) {
        compared.chunk(at as u64, Some(chunk), None);
    }
    went.duration_us = micros(began);
    went
}

/// The version of the tool that ran, by the journal of its call; empty where there is none. Its record may come
/// a moment behind its answer.
async fn version(client: &Client, call_id: &str) -> Result<String, CliError> {
    if call_id.is_empty() {
        return Ok(String::new());
    }
    for _ in 0..LOOKS {
        if let Some(own) = Recorded::read(client, call_id).await? {
            return Ok(own.went.tool_version);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(String::new())
}

/// A call that has no answer: that is how it went.
fn failed(error: &ClientError, began: Instant, time: Duration) -> Went {
    let late = began.elapsed() >= time.mul_f64(LATE);
    let outcome = match error {
        ClientError::Unknown(_) | ClientError::Other(_) if late => "deadline",
        ClientError::Unknown(_) | ClientError::Other(_) => "lost",
        _ => "refused",
    };
    Went {
        outcome: outcome.to_owned(),
        error_message: error.message().to_owned(),
        duration_us: micros(began),
        ..Went::default()
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use snakepit_client::{ClientOptions, parse_endpoints};

    use super::*;

    #[tokio::test]
    async fn a_call_is_repeated_without_what_names_the_first_one() {
        let endpoints = parse_endpoints("127.0.0.1:1").unwrap();
        let client = Client::new(endpoints, ClientOptions::default()).unwrap();
        let metadata = [
            ("idempotency_key", "k"),
            ("correlation_id", "c"),
            ("timeout_ms", "5"),
            ("pool", "then"),
            ("own", "kept"),
        ];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let call = Recorded {
            call_id: "first".into(),
            deadline_ms: 7_000,
            ..Recorded::default()
        };
        let then = ExecuteToolRequest {
            session_id: "s".into(),
            tool_name: "t".into(),
            metadata: metadata.into(),
            resume_call_id: "x".into(),
            resume_from: 3,
            ..Default::default()
        };
        let mut again = Again {
            client: &client,
            pool: None,
            deadline: None,
        };
        let told = |again: &Again<'_>| {
            let request = again.request(&call, &then, "copy");
            assert_eq!(
                (request.session_id.as_str(), request.resume_from),
                ("copy", 0)
            );
            assert!(request.resume_call_id.is_empty());
            let pairs = request.metadata.iter();
            let pairs: Vec<_> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
            pairs.join(" ")
        };
        assert_eq!(
            told(&again),
            "own=kept pool=then replay_of=first timeout_ms=5"
        );
        assert_eq!(again.time(&call), Duration::from_secs(7));
        again.pool = Some("now");
        again.deadline = Some(Duration::from_secs(2));
        assert_eq!(told(&again), "own=kept pool=now replay_of=first");
        assert_eq!(again.time(&call), Duration::from_secs(2));
    }
}
