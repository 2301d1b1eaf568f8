use super::broken;
use crate::{Event, HeadRow, Payload, Row, RowKey, RowsError, RowsMut, SegmentRow};

pub(super) fn archived<R: RowsMut>(
    rows: &mut R,
    head: &mut HeadRow,
    event: &Event,
) -> Result<(), RowsError> {
    let Payload::EventsArchived {
        first,
        last,
        root,
        hash,
    } = &event.payload
    else {
        return Err(broken(event, "another payload was expected"));
    };
    if *first != head.archived + 1 || last < first || *last >= event.position {
        return Err(broken(event, "its range does not follow the last one"));
    }
    head.archived = *last;
    let row = SegmentRow {
        first: *first,
        last: *last,
        root: root.clone(),
        hash: hash.clone(),
        archived_ms: event.time_ms,
    };
    rows.put(RowKey::Segment(*first), Row::Segment(row));
    Ok(())
}
