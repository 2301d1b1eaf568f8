use super::{put_session, session_of};
use crate::{Binding, Event, RowsError, RowsMut};

pub(super) fn bound<R: RowsMut>(
    rows: &mut R,
    event: &Event,
    pool: &str,
    node: u64,
    worker: &str,
) -> Result<(), RowsError> {
    let mut session = session_of(rows, event)?;
    let binding = Binding {
        node,
        worker: worker.to_owned(),
    };
    session.bindings.insert(pool.to_owned(), binding);
    put_session(rows, session, event);
    Ok(())
}

pub(super) fn unbound<R: RowsMut>(
    rows: &mut R,
    event: &Event,
    pool: &str,
) -> Result<(), RowsError> {
    let mut session = session_of(rows, event)?;
    session.bindings.remove(pool);
    put_session(rows, session, event);
    Ok(())
}
