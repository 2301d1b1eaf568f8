use super::{put_session, session_of};
use crate::{Event, RowsError, RowsMut};

/// The log is what keeps a call; to its session it is a use.
pub(super) fn journaled<R: RowsMut>(rows: &mut R, event: &Event) -> Result<(), RowsError> {
    if !event.session_id.is_empty() {
        let session = session_of(rows, event)?;
        put_session(rows, session, event);
    }
    Ok(())
}
