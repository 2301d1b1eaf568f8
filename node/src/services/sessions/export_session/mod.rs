use std::sync::Arc;

use snakepit_machine::access::Action;
use snakepit_machine::{ProgramRow, SessionRow, Value, VariableRow};
use snakepit_proto::session::{ExportSessionRequest, SessionExport};
use snakepit_proto::times;
use snakepit_storage::StateView;
use tonic::Response;

use crate::services::wire::Look;
use crate::services::{Ask, Failure, Node, wire};

mod past;

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
    let (index, export) = if request.at_position > 0 || request.at_ms > 0 {
        past::read(&node, &ask, request, bytes_max).await?
    } else {
        now(&node, &ask, &request.session_id, bytes_max).await?
    };
    for variable in &export.variables {
        ask.note_shown(&export.session_id, variable);
    }
    Ok(wire::at_index(index, export))
}

async fn now(
    node: &Node,
    ask: &Ask,
    session_id: &str,
    bytes_max: u64,
) -> Result<(u64, SessionExport), Failure> {
    let read = node.read_session(ask, session_id, move |state, session, look| {
        state.with_view(|view| export(view, session.clone(), look, bytes_max))
    });
    read.await
}

/// All of a session, at one moment. A variable that the caller may not read refuses the whole.
fn export(
    view: &StateView<'_>,
    session: SessionRow,
    look: &Look,
    bytes_max: u64,
) -> Result<SessionExport, Failure> {
    let mut export = Filling::new(session.clone(), bytes_max);
    let mut after: Option<String> = None;
    loop {
        let rows = view.list_variables(&session.id, after.as_deref(), READ_ROWS)?;
        let last = rows.len() < READ_ROWS;
        after = rows.last().map(|row| row.name.clone());
        for row in rows {
            look.check(Action::Read, &row)?;
            export.variable(row, look)?;
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
            export.program(row, look)?;
        }
        if last {
            break;
        }
    }
    Ok(export.export)
}

/// An export that is being filled, as far as one message holds it.
struct Filling {
    export: SessionExport,
    bytes: u64,
    bytes_max: u64,
}

impl Filling {
    fn new(session: SessionRow, bytes_max: u64) -> Self {
        let export = SessionExport {
            format: FORMAT,
            created_at: Some(times::timestamp(session.created_ms)),
            config: Some(wire::config(&session)),
            revision: session.revision,
            session_id: session.id,
            subject: session.subject,
            metadata: session.metadata,
            ..SessionExport::default()
        };
        Self {
            export,
            bytes: 0,
            bytes_max,
        }
    }

    fn variable(&mut self, mut row: VariableRow, look: &Look) -> Result<(), Failure> {
        self.weigh(&row.value)?;
        // What holds it for now is no part of it.
        row.lock = None;
        let variable = wire::variable(&self.export.session_id, row, look)?;
        self.export.variables.push(variable);
        Ok(())
    }

    fn program(&mut self, row: ProgramRow, look: &Look) -> Result<(), Failure> {
        self.weigh(&row.value)?;
        let program = wire::program(&self.export.session_id, row, look.arrays, &look.opener)?;
        self.export.programs.push(program);
        Ok(())
    }

    fn weigh(&mut self, value: &Value) -> Result<(), Failure> {
        self.bytes += value.size_bytes() + 256;
        if self.bytes < self.bytes_max {
            return Ok(());
        }
        Err(Failure::Exhausted(format!(
            "the session does not fit one message of message_bytes_max, {} bytes; hint: copy it variable by variable",
            self.bytes_max
        )))
    }
}
