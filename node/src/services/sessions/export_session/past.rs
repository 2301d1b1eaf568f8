//! A session as it was, folded from the log; also one that has ended since.

use std::sync::Arc;

use snakepit_machine::access::Action;
use snakepit_machine::{ProgramRow, Rejection, RejectionKind, Row, RowsExt as _, VariableRow};
use snakepit_proto::session::{ExportSessionRequest, SessionExport};
use snakepit_storage::{StateStore, state_store::PastSession};

use super::Filling;
use crate::services::wire::Look;
use crate::services::{Ask, Failure, Node};

pub(super) async fn read(
    node: &Node,
    ask: &Ask,
    request: ExportSessionRequest,
    bytes_max: u64,
) -> Result<(u64, SessionExport), Failure> {
    if request.at_position > 0 && request.at_ms > 0 {
        let message = "at_position and at_ms are both set; hint: give one of them";
        return Err(Failure::Invalid(message.into()));
    }
    let barrier = node.barrier(ask).await?;
    let look = ask.look(barrier.time_ms);
    node.past_key_of(ask, &request.session_id).await?;
    let read = node.blocking(move |state| Ok(export(state, &request, &look, bytes_max)));
    Ok((barrier.index, read.await??))
}

fn export(
    state: &StateStore,
    request: &ExportSessionRequest,
    look: &Look,
    bytes_max: u64,
) -> Result<SessionExport, Failure> {
    let position = match request.at_ms {
        0 => request.at_position,
        time_ms => state.position_at(time_ms)?,
    };
    let last = state.head().position;
    if position > last {
        return Err(Failure::Invalid(format!(
            "at_position is {position}, the last event is {last}; hint: ask for a moment that has been"
        )));
    }
    let id = &request.session_id;
    let past = state.session_at(id, position)?;
    let Some(session) = past.rows.session(id)? else {
        return Err(Rejection::new(
            RejectionKind::NotFound,
            format!("there was no session {id} at event {position}; hint: look for it with `snakepit log replay`"),
        )
        .into());
    };
    let mut export = Filling::new(Arc::unwrap_or_clone(session), bytes_max);
    export.export.position = past.position;
    fill(state, past, look, &mut export)?;
    Ok(export.export)
}

/// Who may see a variable's past is who might then, and who may now where it is still there.
fn fill(
    state: &StateStore,
    past: PastSession,
    look: &Look,
    export: &mut Filling,
) -> Result<(), Failure> {
    let now = state.rows();
    let id = export.export.session_id.clone();
    for (_, row) in past.rows.iter() {
        match row {
            Row::Variable(variable) => {
                look.check(Action::Read, variable)?;
                if let Some(current) = now.variable_named(&id, &variable.name)? {
                    look.check(Action::Read, &current)?;
                }
                export.variable(VariableRow::clone(variable), look)?;
            }
            Row::Program(program) => export.program(ProgramRow::clone(program), look)?,
            _ => {}
        }
    }
    Ok(())
}
