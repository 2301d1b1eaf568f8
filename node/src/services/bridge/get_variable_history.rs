use std::sync::Arc;

use snakepit_machine::access::Action;
use snakepit_machine::{Payload, Rejection, RowsExt, VariableRow};
use snakepit_proto::bridge::{
    GetVariableHistoryRequest, GetVariableHistoryResponse, VariableHistoryEntry,
};
use snakepit_proto::times;
use tonic::Response;

use crate::services::history::{self, Version};
use crate::services::wire::Look;
use crate::services::{Ask, Failure, Node, wire};

/// Versions of one page where the request says nothing.
const PAGE: usize = 100;
/// Versions of one page at most.
const PAGE_MAX: usize = 1_000;
/// Bytes of values after which a page ends.
const PAGE_BYTES: u64 = 8 << 20;

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: GetVariableHistoryRequest,
) -> Result<Response<GetVariableHistoryResponse>, Failure> {
    let GetVariableHistoryRequest {
        session_id,
        variable_identifier,
        limit,
        before_version,
    } = request;
    let limit = match usize::try_from(limit) {
        Ok(0) => PAGE,
        Ok(limit) if limit <= PAGE_MAX => limit,
        _ => {
            return Err(Failure::Invalid(format!(
                "limit is {limit}; hint: give 1 to {PAGE_MAX}, or 0 for {PAGE}"
            )));
        }
    };
    let from = match u64::try_from(before_version) {
        Ok(0) => u64::MAX,
        Ok(before) => before - 1,
        Err(_) => {
            return Err(Failure::Invalid(format!(
                "before_version is {before_version}; hint: versions begin at 1, and 0 begins with the newest"
            )));
        }
    };
    let id = session_id.clone();
    let read = node.read_session(&ask, &id, move |state, _, look| {
        let row = state
            .rows()
            .variable(&session_id, &variable_identifier)?
            .ok_or_else(|| Rejection::no_variable(&variable_identifier))?;
        look.check(Action::Read, &row)?;
        let versions = history::downwards(state, &row, from, limit, PAGE_BYTES)?;
        let next_before_version = match versions.last().map(Version::number) {
            Some((number, _)) if number > 1 => wire::version(number),
            _ => 0,
        };
        let entries = versions
            .into_iter()
            .map(|version| entry(&session_id, &row, version, look));
        let response = GetVariableHistoryResponse {
            entries: entries.collect::<Result<_, _>>()?,
            next_before_version,
        };
        Ok((row.name.clone(), response))
    });
    let (index, (name, response)) = read.await?;
    for entry in &response.entries {
        ask.note_read(&id, &name, u64::try_from(entry.version).unwrap_or(0));
    }
    Ok(wire::at_index(index, response))
}

fn entry(
    session_id: &str,
    row: &VariableRow,
    version: Version,
    look: &Look,
) -> Result<VariableHistoryEntry, Failure> {
    let (number, _) = version.number();
    let (value, payload) = version
        .value()
        .map(|value| wire::value(session_id, &row.name, value, &row.type_name, look))
        .transpose()?
        .unzip();
    let cause = wire::cause(&version.event);
    let (update_type, rolled_back_to, metadata) = match version.event.payload {
        Payload::VariableRegistered { metadata, .. } => ("registered", 0, metadata),
        Payload::VariableRolledBack {
            target_version,
            metadata,
            ..
        } => ("rollback", wire::version(target_version), metadata),
        Payload::VariableSet { metadata, .. } => ("value_change", 0, metadata),
        // History holds nothing else.
        _ => ("", 0, Default::default()),
    };
    Ok(VariableHistoryEntry {
        version: wire::version(number),
        value,
        timestamp: Some(times::timestamp(version.event.time_ms)),
        changed_by: cause.principal.clone(),
        metadata,
        binary_value: payload.unwrap_or_default().into(),
        update_type: update_type.to_owned(),
        rolled_back_to,
        position: version.event.position,
        cause: Some(cause),
    })
}
