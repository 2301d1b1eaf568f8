use std::sync::Arc;

use snakepit_machine::access::Action;
use snakepit_machine::{Answer, Body, CreateSession, SessionConfig};
use snakepit_proto::bridge;
use snakepit_proto::bridge::{InitializeSessionRequest, InitializeSessionResponse};
use tonic::Response;

use super::misfit;
use crate::services::seal::is_sealed;
use crate::services::{Ask, Failure, Node, wire};

/// Variables that an existing session's answer carries at most; the rest is listed.
const INITIAL_VARIABLES_MAX: usize = 1_000;

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: InitializeSessionRequest,
) -> Result<Response<InitializeSessionResponse>, Failure> {
    let session_id = request.session_id;
    let config = request.config.unwrap_or_default();
    // One whose id does not fit is refused, and leaves no key behind.
    if !request.subject.is_empty() && is_sealed(&session_id) {
        node.subject_key(&ask, &request.subject).await?;
    }
    let body = CreateSession {
        session_id: session_id.clone(),
        metadata: request.metadata,
        ttl_ms: ttl_ms(config.ttl_seconds, node.settings.session.default_ttl_s)?,
        config: session_config(&config)?,
        subject: request.subject,
    };
    let (index, Answer::SessionCreated { created }) =
        node.propose(&ask, Body::CreateSession(body)).await?
    else {
        return Err(misfit());
    };
    let initial_variables = if created {
        Default::default()
    } else {
        // Whatever the request's consistency: it was told that the session is there.
        node.applied(&ask, index).await?;
        let id = session_id.clone();
        let read = node.read_session(&ask, &session_id, move |state, _, look| {
            let rows =
                state.with_view(|view| view.list_variables(&id, None, INITIAL_VARIABLES_MAX))?;
            rows.into_iter()
                .filter(|row| look.check(Action::Read, row).is_ok())
                .map(|row| Ok((row.name.clone(), wire::variable(&id, row, look)?)))
                .collect::<Result<_, Failure>>()
        });
        read.await?.1
    };
    let mut available_tools = node.registered_tools(&session_id).await?;
    available_tools.extend(
        node.cluster_tools()
            .into_iter()
            .map(|tool| (tool.name.clone(), tool)),
    );
    Ok(wire::at_index(
        index,
        InitializeSessionResponse {
            success: true,
            error_message: String::new(),
            available_tools,
            initial_variables,
            created,
        },
    ))
}

/// Time for which cached reads may be old where the session does not say, in milliseconds: Snakepit's.
const CACHE_TTL_MS: u64 = 5_000;

pub(in crate::services) fn session_config(
    config: &bridge::SessionConfig,
) -> Result<SessionConfig, Failure> {
    let cache_ttl_ms = match config.cache_ttl_seconds {
        0 => CACHE_TTL_MS,
        asked => u64::try_from(asked)
            .map(|seconds| seconds * 1_000)
            .map_err(|_| {
                Failure::Invalid(format!(
                    "cache_ttl_seconds is {asked}; hint: give a positive number, or 0 for {}",
                    CACHE_TTL_MS / 1_000
                ))
            })?,
    };
    Ok(SessionConfig {
        enable_caching: config.enable_caching,
        cache_ttl_ms,
        enable_telemetry: config.enable_telemetry,
    })
}

pub(in crate::services) fn ttl_ms(asked_s: i64, default_s: u64) -> Result<u64, Failure> {
    let seconds = match asked_s {
        0 => default_s,
        asked => u64::try_from(asked).map_err(|_| {
            Failure::Invalid(format!(
                "ttl_seconds is {asked}; hint: give a positive number, or 0 for the default"
            ))
        })?,
    };
    Ok(seconds.saturating_mul(1_000))
}
