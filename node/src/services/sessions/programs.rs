use std::io;
use std::sync::Arc;

use snakepit_machine::{
    Answer, Body, DeleteProgram, ProgramRow, PutProgram, Rejection, RowsExt, glob,
};
use snakepit_proto::session::{
    DeleteProgramRequest, DeleteProgramResponse, GetProgramRequest, GetProgramResponse,
    ListProgramsRequest, ListProgramsResponse, PutProgramRequest, PutProgramResponse,
};
use snakepit_storage::{StateStore, StateView};
use tonic::Response;

use crate::services::bridge::{misfit, set_variables};
use crate::services::{Ask, Failure, Node, wire};

/// Life of a global program after its last change, where the request says nothing, in milliseconds:
/// Snakepit's.
const TTL_MS: u64 = 3_600_000;
/// Programs of one page, where the request says nothing, and at most.
const PAGE: usize = 1_000;
/// Bytes of programs after which a page ends.
const PAGE_BYTES: u64 = 8 << 20;
/// Rows read at once.
const READ_ROWS: usize = 256;

pub(super) async fn put(
    node: Arc<Node>,
    ask: Ask,
    request: PutProgramRequest,
) -> Result<Response<PutProgramResponse>, Failure> {
    let value = set_variables::value(request.value.as_ref(), &request.binary_value)
        .map_err(Failure::Invalid)?;
    let ttl_ms = match u64::try_from(request.ttl_seconds) {
        Ok(0) if request.session_id.is_empty() => TTL_MS,
        Ok(seconds) => seconds.saturating_mul(1_000),
        Err(_) => {
            return Err(Failure::Invalid(format!(
                "ttl_seconds is {}; hint: give a positive number, or 0 for {}",
                request.ttl_seconds,
                TTL_MS / 1_000
            )));
        }
    };
    let body = PutProgram {
        session_id: request.session_id,
        program_id: request.program_id,
        value,
        metadata: request.metadata,
        expected_version: set_variables::expected(request.expected_version)?,
        ttl_ms,
    };
    let (index, Answer::ProgramPut { version }) =
        node.propose(&ask, Body::PutProgram(body)).await?
    else {
        return Err(misfit());
    };
    let version = wire::version(version);
    Ok(wire::at_index(index, PutProgramResponse { version }))
}

pub(super) async fn get(
    node: Arc<Node>,
    ask: Ask,
    request: GetProgramRequest,
) -> Result<Response<GetProgramResponse>, Failure> {
    let (session_id, program_id) = (request.session_id, request.program_id);
    let sid = session_id.clone();
    let (index, program) = read(&node, &ask, &session_id, move |state, now_ms| {
        let row = state.rows().program(&sid, &program_id)?;
        row.filter(|row| row.alive_at(now_ms))
            .ok_or_else(|| Rejection::no_program(&program_id).into())
    })
    .await?;
    let program = Some(wire::program(
        &session_id,
        Arc::unwrap_or_clone(program),
        ask.arrays,
        &ask.opener,
    )?);
    Ok(wire::at_index(index, GetProgramResponse { program }))
}

pub(super) async fn list(
    node: Arc<Node>,
    ask: Ask,
    request: ListProgramsRequest,
) -> Result<Response<ListProgramsResponse>, Failure> {
    let size = match usize::try_from(request.page_size) {
        Ok(0) => PAGE,
        Ok(size) if size <= PAGE => size,
        _ => {
            return Err(Failure::Invalid(format!(
                "page_size is {}; hint: give 1 to {PAGE}, or 0 for {PAGE}",
                request.page_size
            )));
        }
    };
    let sid = request.session_id.clone();
    let (pattern, token) = (request.pattern, request.page_token);
    let (index, (rows, next_page_token)) =
        read(&node, &ask, &request.session_id, move |state, now_ms| {
            let shown = |row: &ProgramRow| {
                row.alive_at(now_ms) && (pattern.is_empty() || glob::matches(&pattern, &row.id))
            };
            Ok(state.with_view(|view| page(view, &sid, shown, token, size))?)
        })
        .await?;
    let programs = rows
        .into_iter()
        .map(|row| wire::program(&request.session_id, row, ask.arrays, &ask.opener))
        .collect::<Result<_, _>>()?;
    Ok(wire::at_index(
        index,
        ListProgramsResponse {
            programs,
            next_page_token,
        },
    ))
}

pub(super) async fn delete(
    node: Arc<Node>,
    ask: Ask,
    request: DeleteProgramRequest,
) -> Result<Response<DeleteProgramResponse>, Failure> {
    let body = DeleteProgram {
        session_id: request.session_id,
        program_id: request.program_id,
    };
    let (index, Answer::Done { existed }) = node.propose(&ask, Body::DeleteProgram(body)).await?
    else {
        return Err(misfit());
    };
    Ok(wire::at_index(index, DeleteProgramResponse { existed }))
}

/// Read programs of a session that is alive, or global ones where its id is empty.
async fn read<T: Send + 'static>(
    node: &Node,
    ask: &Ask,
    session_id: &str,
    read: impl FnOnce(&StateStore, u64) -> Result<T, Failure> + Send + 'static,
) -> Result<(u64, T), Failure> {
    if !session_id.is_empty() {
        return node
            .read_session(ask, session_id, move |state, _, look| {
                read(state, look.now_ms)
            })
            .await;
    }
    let barrier = node.barrier(ask).await?;
    let found = node
        .blocking(move |state| Ok(read(state, barrier.time_ms)))
        .await?;
    Ok((barrier.index, found?))
}

/// Programs in the order of their ids, and the id behind which the next page begins.
fn page(
    view: &StateView<'_>,
    session_id: &str,
    shown: impl Fn(&ProgramRow) -> bool,
    token: String,
    size: usize,
) -> io::Result<(Vec<ProgramRow>, String)> {
    let mut after = Some(token).filter(|token| !token.is_empty());
    let (mut found, mut bytes) = (Vec::new(), 0);
    loop {
        let rows = view.list_programs(session_id, after.as_deref(), READ_ROWS)?;
        let last = rows.len() < READ_ROWS;
        for row in rows {
            after = Some(row.id.clone());
            if shown(&row) {
                bytes += row.value.size_bytes();
                found.push(row);
                if found.len() == size || bytes >= PAGE_BYTES {
                    return Ok((found, after.unwrap_or_default()));
                }
            }
        }
        if last {
            return Ok((found, String::new()));
        }
    }
}
