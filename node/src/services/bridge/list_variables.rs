use std::io;
use std::sync::Arc;

use snakepit_machine::access::Action;
use snakepit_machine::{ID_BYTES_MAX, VariableRow, glob};
use snakepit_proto::bridge::{ListVariablesRequest, ListVariablesResponse};
use snakepit_storage::StateView;
use tonic::Response;

use crate::services::{Ask, Failure, Node, wire};

/// Variables of one page, where the request says nothing, and at most.
const PAGE: usize = 1_000;
/// Bytes of values after which a page ends.
const PAGE_BYTES: u64 = 8 << 20;
/// Rows read at once.
const READ_ROWS: usize = 256;

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: ListVariablesRequest,
) -> Result<Response<ListVariablesResponse>, Failure> {
    let ListVariablesRequest {
        session_id,
        pattern,
        page_size,
        page_token,
    } = request;
    if pattern.len() > ID_BYTES_MAX {
        return Err(Failure::Invalid(format!(
            "pattern has {} bytes, the limit is {ID_BYTES_MAX}; hint: shorten it",
            pattern.len()
        )));
    }
    let size = match usize::try_from(page_size) {
        Ok(0) => PAGE,
        Ok(size) if size <= PAGE => size,
        _ => {
            return Err(Failure::Invalid(format!(
                "page_size is {page_size}; hint: give 1 to {PAGE}, or 0 for {PAGE}"
            )));
        }
    };
    let id = session_id.clone();
    let read = node.read_session(&ask, &id, move |state, _, look| {
        let shown = |row: &VariableRow| {
            (pattern.is_empty() || glob::matches(&pattern, &row.name))
                && look.check(Action::Read, row).is_ok()
        };
        let (rows, next) =
            state.with_view(|view| page(view, &session_id, shown, page_token, size))?;
        let variables: Vec<_> = rows
            .into_iter()
            .map(|row| wire::variable(&session_id, row, look))
            .collect::<Result<_, _>>()?;
        Ok((variables, next))
    });
    let (index, (variables, next_page_token)) = read.await?;
    for variable in &variables {
        ask.note_shown(&id, variable);
    }
    Ok(wire::at_index(
        index,
        ListVariablesResponse {
            variables,
            next_page_token,
        },
    ))
}

/// Variables in the order of their names, from behind a name on; and the name behind which the next page begins.
fn page(
    view: &StateView<'_>,
    session_id: &str,
    shown: impl Fn(&VariableRow) -> bool,
    token: String,
    size: usize,
) -> io::Result<(Vec<VariableRow>, String)> {
    let mut after = Some(token).filter(|token| !token.is_empty());
    let (mut found, mut bytes) = (Vec::new(), 0);
    loop {
        let rows = view.list_variables(session_id, after.as_deref(), READ_ROWS)?;
        let last = rows.len() < READ_ROWS;
        for row in rows {
            after = Some(row.name.clone());
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
