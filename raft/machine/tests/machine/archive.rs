//! Archiving events: what the rows say of it.

use snakepit_machine::{
    Answer, ArchiveEvents, Body, HeadRow, Payload, RejectionKind, Row, RowKey, SegmentRow,
};

use crate::support::*;

fn archive(first: u64, last: u64) -> Body {
    Body::ArchiveEvents(ArchiveEvents {
        first,
        last,
        root: vec![7; 32],
        hash: vec![8; 32],
    })
}

fn with_events(count: usize) -> Machine {
    let mut machine = Machine::default();
    for number in 0..count {
        let definition = format!(r#"{{"size":{number}}}"#);
        machine.run(T0, put_pool("p", &definition)).outcome.unwrap();
    }
    machine
}

#[test]
fn segments_follow_each_other() {
    let mut machine = with_events(9);
    let did = machine.run(T0 + 5, archive(1, 4));
    let payload = Payload::EventsArchived {
        first: 1,
        last: 4,
        root: vec![7; 32],
        hash: vec![8; 32],
    };
    let head = HeadRow {
        position: 10,
        time_ms: T0 + 5,
        revision: 10,
        pools: 1,
        pools_position: 9,
        archived: 4,
        ..HeadRow::default()
    };
    let row = SegmentRow {
        first: 1,
        last: 4,
        root: vec![7; 32],
        hash: vec![8; 32],
        archived_ms: T0 + 5,
    };
    assert_eq!(
        did,
        Did {
            outcome: Ok(Answer::Done { existed: false }),
            events: vec![event((10, 10, 10), "", T0 + 5, None, payload)],
            changes: changed(vec![
                (RowKey::Head, Some(Row::Head(head))),
                (RowKey::Segment(1), Some(Row::Segment(row))),
            ]),
        }
    );
    // Once is enough, also where somebody asks for a part.
    for done in [archive(1, 4), archive(2, 3)] {
        machine
            .run(T0, done)
            .only_answers(Answer::Done { existed: true });
    }
    let next = machine.run(T0 + 6, archive(5, 10));
    assert_eq!(next.outcome, Ok(Answer::Done { existed: false }));
    assert_eq!(machine.head().archived, 10);
    machine.check_replay();
}

#[test]
fn ranges_that_do_not_fit_are_refused() {
    let mut machine = with_events(9);
    machine.run(T0, archive(1, 4)).outcome.unwrap();
    let mut refused = |body: Body, kind: RejectionKind, told: &str| {
        let rejection = machine.run(T0, body).outcome.unwrap_err();
        assert_eq!(rejection.kind, kind);
        assert!(rejection.message.contains(told), "{}", rejection.message);
    };
    refused(archive(6, 8), RejectionKind::Conflict, "hint: begin at 5");
    refused(archive(3, 8), RejectionKind::Conflict, "hint: begin at 5");
    for (first, last) in [(5, 11), (0, 5), (8, 7), (5, u64::MAX)] {
        refused(
            archive(first, last),
            RejectionKind::Invalid,
            "the log has 10; hint: name positions that it has",
        );
    }
    let short = ArchiveEvents {
        first: 5,
        last: 6,
        root: vec![7; 31],
        hash: vec![8; 32],
    };
    refused(
        Body::ArchiveEvents(short),
        RejectionKind::Invalid,
        "the root of a segment has 31 bytes, it must have 32",
    );
}
