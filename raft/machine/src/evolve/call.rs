use super::Fold;
use crate::{RowsError, RowsMut};

/// The log is what keeps a call; to its session it is a use.
pub(super) fn journaled<R: RowsMut>(fold: &mut Fold<'_, R>) -> Result<(), RowsError> {
    match fold.event.session_id.is_empty() {
        true => Ok(()),
        false => fold.used(),
    }
}
