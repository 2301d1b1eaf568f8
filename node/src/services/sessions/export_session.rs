use std::sync::Arc;

use snakepit_machine::SessionRow;
use snakepit_machine::access::Action;
use snakepit_proto::session::{ExportSessionRequest, SessionExport};
use snakepit_proto::times;
use snakepit_storage::StateView;
use tonic::Response;

use crate::services::wire::Look;
use crate::services::{Ask, Failure, Node, wire};

/// Format of an export.
pub(super) const FORMAT: u32 = 1;
/// Rows read at once.
const READ_ROWS: usize = 256;

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: ExportSessionRequest,
) -> Result<Response<SessionExport>, Failure> {
    let bytes_max = node.settings.limits.message_bytes_max as u64;
    let read = node.read_session(&ask, &request.session_id, move |state, session, look| {
        state.with_view(|view| export(view, session.clone(), look, bytes_max))
    });
    let (index, export) = read.await?;
    Ok(wire::at_index(index, export))
}

/// All of a session, at one moment. A variable that the caller may not read refuses the whole.
fn export(
    view: &StateView<'_>,
    session: SessionRow,
    look: &Look,
    bytes_max: u64,
) -> Result<SessionExport, Failure> {
    let mut bytes = 0;
    let mut weigh = |more: u64| {
        bytes += more;
        if bytes < bytes_max {
            return Ok(());
        }
        Err(Failure::Exhausted(format!(
            "the session does not fit one message of message_bytes_max, {bytes_max} bytes; hint: copy it variable by variable"
        )))
    };
    let mut export = SessionExport {
        format: FORMAT,
        created_at: Some(times::timestamp(session.created_ms)),
        config: Some(wire::config(&session)),
        revision: session.revision,
        ..SessionExport::default()
    };
    let mut after: Option<String> = None;
    loop {
        let rows = view.list_variables(&session.id, after.as_deref(), READ_ROWS)?;
        let last = rows.len() < READ_ROWS;
        after = rows.last().map(|row| row.name.clone());
        for mut row in rows {
            look.check(Action::Read, &row)?;
            weigh(row.value.size_bytes() + 256)?;
            // What holds it for now is no part of it.
            row.lock = None;
            export.variables.push(wire::variable(row, look));
        }
        if last {
            break;
        }
    }
    let mut after: Option<String> = None;
    loop {
        let rows = view.list_programs(&session.id, after.as_deref(), READ_ROWS)?;
        let last = rows.len() < READ_ROWS;
        after = rows.last().map(|row| row.id.clone());
        for row in rows {
            weigh(row.value.size_bytes() + 256)?;
            export.programs.push(wire::program(row, look.arrays));
        }
        if last {
            break;
        }
    }
    export.session_id = session.id;
    export.metadata = session.metadata;
    Ok(export)
}
