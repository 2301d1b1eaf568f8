use super::Fold;
use crate::{Binding, RowsError, RowsMut};

pub(super) fn bound<R: RowsMut>(
    fold: &mut Fold<'_, R>,
    pool: &str,
    node: u64,
    worker: &str,
) -> Result<(), RowsError> {
    let binding = Binding {
        node,
        worker: worker.to_owned(),
    };
    fold.session()?.bindings.insert(pool.to_owned(), binding);
    fold.used()
}

pub(super) fn unbound<R: RowsMut>(fold: &mut Fold<'_, R>, pool: &str) -> Result<(), RowsError> {
    fold.session()?.bindings.remove(pool);
    fold.used()
}
