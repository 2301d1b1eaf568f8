use super::Fold;
use crate::{Payload, Row, RowKey, RowsError, RowsMut, SegmentRow};

pub(super) fn archived<R: RowsMut>(fold: &mut Fold<'_, R>) -> Result<(), RowsError> {
    let Payload::EventsArchived {
        first,
        last,
        root,
        hash,
    } = &fold.event.payload
    else {
        return Err(fold.broken("another payload was expected"));
    };
    if *first != fold.head.archived + 1 || last < first || *last >= fold.event.position {
        return Err(fold.broken("its range does not follow the last one"));
    }
    fold.head.archived = *last;
    let row = SegmentRow {
        first: *first,
        last: *last,
        root: root.clone(),
        hash: hash.clone(),
        archived_ms: fold.event.time_ms,
    };
    fold.rows.put(RowKey::Segment(*first), Row::Segment(row));
    Ok(())
}
