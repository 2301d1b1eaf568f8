use super::{put_session, put_variable, session_of, variable_of};
use crate::{Event, RowsError, RowsMut};

pub(super) fn added<R: RowsMut>(
    rows: &mut R,
    event: &Event,
    from: &str,
    to: &str,
    kind: &str,
) -> Result<(), RowsError> {
    let session = session_of(rows, event)?;
    let mut dependent = variable_of(rows, event, from)?;
    dependent.depends_on.insert(to.to_owned(), kind.to_owned());
    put_variable(rows, event, dependent);
    let mut source = variable_of(rows, event, to)?;
    source.dependents.insert(from.to_owned(), kind.to_owned());
    put_variable(rows, event, source);
    put_session(rows, session, event);
    Ok(())
}

pub(super) fn removed<R: RowsMut>(
    rows: &mut R,
    event: &Event,
    from: &str,
    to: &str,
) -> Result<(), RowsError> {
    let session = session_of(rows, event)?;
    let mut dependent = variable_of(rows, event, from)?;
    dependent.depends_on.remove(to);
    put_variable(rows, event, dependent);
    let mut source = variable_of(rows, event, to)?;
    source.dependents.remove(from);
    put_variable(rows, event, source);
    put_session(rows, session, event);
    Ok(())
}
