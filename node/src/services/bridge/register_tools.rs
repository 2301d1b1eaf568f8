use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message as _;
use snakepit_machine::{Answer, Body, RegisterTools, RejectionKind};
use snakepit_proto::bridge::{
    RegisterToolsRequest, RegisterToolsResponse, ToolRegistration, ToolSpec,
};
use tonic::Response;

use super::misfit;
use crate::services::{Ask, Failure, Node, wire};

/// Entries and bytes of one tool's metadata at most: Snakepit's limits.
const METADATA_ENTRIES_MAX: usize = 32;
const METADATA_BYTES_MAX: usize = 4_096;

/// An unknown session and a name that another worker has are answers, not errors, as in Snakepit.
pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: RegisterToolsRequest,
) -> Result<Response<RegisterToolsResponse>, Failure> {
    let session_id = request.session_id;
    let mut tools = BTreeMap::new();
    for registration in request.tools {
        check_metadata(&registration)?;
        let name = registration.name.clone();
        if tools
            .insert(name.clone(), spec(registration).encode_to_vec())
            .is_some()
        {
            return Ok(refused(format!("duplicate_tool: {name} is named twice")));
        }
    }
    let names: Vec<String> = tools.keys().cloned().collect();
    let body = RegisterTools {
        session_id: session_id.clone(),
        worker_id: request.worker_id,
        tools,
    };
    let answered = node.propose(&ask, Body::RegisterTools(body)).await;
    let index = match answered {
        Ok((index, Answer::Done { .. })) => index,
        Ok(_) => return Err(misfit()),
        Err(Failure::Rejected(rejection))
            if matches!(
                rejection.kind,
                RejectionKind::NotFound | RejectionKind::AlreadyExists
            ) =>
        {
            return Ok(refused(rejection.message));
        }
        Err(failure) => return Err(failure),
    };
    Ok(wire::at_index(
        index,
        RegisterToolsResponse {
            success: true,
            tool_ids: names
                .into_iter()
                .map(|name| {
                    let id = format!("{session_id}:{name}");
                    (name, id)
                })
                .collect(),
            error_message: String::new(),
        },
    ))
}

fn refused(error_message: String) -> Response<RegisterToolsResponse> {
    Response::new(RegisterToolsResponse {
        success: false,
        tool_ids: BTreeMap::new(),
        error_message,
    })
}

fn spec(registration: ToolRegistration) -> ToolSpec {
    ToolSpec {
        name: registration.name,
        description: registration.description,
        parameters: registration.parameters,
        metadata: registration.metadata,
        supports_streaming: registration.supports_streaming,
        required_variables: Vec::new(),
    }
}

fn check_metadata(registration: &ToolRegistration) -> Result<(), Failure> {
    let metadata = &registration.metadata;
    let bytes: usize = metadata
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if metadata.len() <= METADATA_ENTRIES_MAX && bytes <= METADATA_BYTES_MAX {
        return Ok(());
    }
    Err(Failure::Invalid(format!(
        "metadata of tool {} has {} entries of {bytes} bytes, the limits are {METADATA_ENTRIES_MAX} and {METADATA_BYTES_MAX}; hint: describe it elsewhere",
        registration.name,
        metadata.len()
    )))
}
