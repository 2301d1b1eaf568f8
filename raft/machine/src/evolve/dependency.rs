use std::sync::Arc;

use super::Fold;
use crate::{RowsError, RowsMut};

pub(super) fn added<R: RowsMut>(
    fold: &mut Fold<'_, R>,
    from: &str,
    to: &str,
    kind: &str,
) -> Result<(), RowsError> {
    let mut dependent = fold.variable(from)?;
    Arc::make_mut(&mut dependent)
        .depends_on
        .insert(to.to_owned(), kind.to_owned());
    fold.put_variable(dependent);
    let mut source = fold.variable(to)?;
    Arc::make_mut(&mut source)
        .dependents
        .insert(from.to_owned(), kind.to_owned());
    fold.put_variable(source);
    fold.used()
}

pub(super) fn removed<R: RowsMut>(
    fold: &mut Fold<'_, R>,
    from: &str,
    to: &str,
) -> Result<(), RowsError> {
    let mut dependent = fold.variable(from)?;
    Arc::make_mut(&mut dependent).depends_on.remove(to);
    fold.put_variable(dependent);
    let mut source = fold.variable(to)?;
    Arc::make_mut(&mut source).dependents.remove(from);
    fold.put_variable(source);
    fold.used()
}
