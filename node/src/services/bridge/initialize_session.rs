use std::sync::Arc;

use snakepit_machine::{Answer, Body, CreateSession};
use snakepit_proto::bridge::{InitializeSessionRequest, InitializeSessionResponse};
use tonic::Response;

use super::misfit;
use crate::services::{Ask, Failure, Node, wire};

/// Variables that an existing session's answer carries at most; the rest is listed.
const INITIAL_VARIABLES_MAX: usize = 1_000;

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: InitializeSessionRequest,
) -> Result<Response<InitializeSessionResponse>, Failure> {
    let session_id = request.session_id;
    let body = CreateSession {
        session_id: session_id.clone(),
        metadata: request.metadata,
        ttl_ms: ttl_ms(
            request.config.map_or(0, |config| config.ttl_seconds),
            node.settings.session.default_ttl_s,
        )?,
    };
    let (index, Answer::SessionCreated { created }) =
        node.propose(&ask, Body::CreateSession(body)).await?
    else {
        return Err(misfit());
    };
    let initial_variables = if created {
        Default::default()
    } else {
        let id = session_id.clone();
        let read = node.read_session(&ask, &id, move |state, _| {
            let rows = state
                .with_view(|view| view.list_variables(&session_id, None, INITIAL_VARIABLES_MAX))?;
            Ok(rows
                .into_iter()
                .map(|row| (row.name.clone(), wire::variable(row)))
                .collect())
        });
        read.await?.1
    };
    let available_tools = node
        .pools
        .tools()
        .into_iter()
        .map(|tool| (tool.name.clone(), tool))
        .collect();
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

fn ttl_ms(asked_s: i64, default_s: u64) -> Result<u64, Failure> {
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
