//! Keys come back, sort as what they name, and keep sessions apart.

use proptest::prelude::*;
use snakepit_machine::{RowKey, RowPrefix};

use super::*;

fn id() -> impl Strategy<Value = String> {
    prop_oneof!["[ab\u{0}\u{10ffff}]{0,4}", ".{0,12}", "x{250,256}"]
}

fn key() -> impl Strategy<Value = RowKey> {
    prop_oneof![
        Just(RowKey::Head),
        id().prop_map(RowKey::Session),
        (id(), id()).prop_map(|(id, name)| RowKey::Variable(id, name)),
        (id(), any::<u64>(), id())
            .prop_map(|(id, epoch, request)| RowKey::Request(id, epoch, request)),
        (any::<u64>(), id()).prop_map(|(time, id)| RowKey::Deadline(time, id)),
        (id(), id()).prop_map(|(id, program)| RowKey::Program(id, program)),
        (any::<u64>(), id()).prop_map(|(time, id)| RowKey::ProgramDeadline(time, id)),
        (id(), id()).prop_map(|(id, name)| RowKey::Tool(id, name)),
        id().prop_map(RowKey::Pool),
        any::<u64>().prop_map(RowKey::Segment),
        id().prop_map(RowKey::Subject),
    ]
}

proptest! {
    #[test]
    fn row_keys_come_back(key in key()) {
        let (column, bytes) = row_key(&key).unwrap();
        prop_assert_eq!(decode_row_key(column, &bytes).unwrap(), key);
    }

    #[test]
    fn numbers_sort(a: u64, b: u64, id in id()) {
        let order = a.cmp(&b);
        prop_assert_eq!(position::encode(a).cmp(&position::encode(b)), order);
        prop_assert_eq!(log::encode(a).cmp(&log::encode(b)), order);
        prop_assert_eq!(deadline::encode(a, &id).cmp(&deadline::encode(b, &id)), order);
        let places = [a, b].map(|place| request::encode(&id, place, "x").unwrap());
        prop_assert_eq!(places[0].cmp(&places[1]), order);
        let events = [a, b].map(|position| session_event::encode(&id, position).unwrap());
        prop_assert_eq!(events[0].cmp(&events[1]), order);
        prop_assert_eq!(position::decode(&position::encode(a)).unwrap(), a);
        prop_assert_eq!(log::decode(&log::encode(a)).unwrap(), a);
        prop_assert_eq!(session_event::decode(&events[0]).unwrap(), (id.as_str(), a));
    }

    #[test]
    fn names_sort(session in id(), a in id(), b in id()) {
        let order = a.cmp(&b);
        prop_assert_eq!(session::encode(&a).cmp(&session::encode(&b)), order);
        prop_assert_eq!(pool::encode(&a).cmp(&pool::encode(&b)), order);
        let names = [&a, &b].map(|name| variable::encode(&session, name).unwrap());
        prop_assert_eq!(names[0].cmp(&names[1]), order);
    }

    /// A prefix holds the rows of its session and no others, and its end is behind them all.
    #[test]
    fn prefixes_keep_sessions_apart(a in id(), b in id(), name in id()) {
        let (column, start) = row_prefix(&RowPrefix::Variables(a.clone())).unwrap();
        prop_assert_eq!(column, RowColumn::Variables);
        let end = prefix_end(&start).unwrap();
        let key = variable::encode(&b, &name).unwrap();
        prop_assert_eq!(key >= start && key < end, a == b);
    }

    /// An epoch's prefix holds the answers of that epoch and no others.
    #[test]
    fn prefixes_keep_epochs_apart(a in 0u64..3, b in 0u64..3, session in id(), name in id()) {
        let (_, start) = row_prefix(&RowPrefix::RequestEpoch(session.clone(), a)).unwrap();
        let end = prefix_end(&start).unwrap();
        let key = request::encode(&session, b, &name).unwrap();
        prop_assert_eq!(key >= start && key < end, a == b);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
        for column in RowColumn::ALL {
            if let Ok(key) = decode_row_key(column, &bytes) {
                prop_assert_eq!(row_key(&key).unwrap(), (column, bytes.clone()));
            }
        }
        let _ = session_event::decode(&bytes);
        let _ = session_event::decode_value(&bytes);
        let _ = position::decode(&bytes);
        let _ = log::decode(&bytes);
        let _ = tree::decode(&bytes);
    }
}

#[test]
fn too_long_ids_are_refused() {
    let long = "x".repeat(KEY_ID_BYTES_MAX + 1);
    assert!(row_key(&RowKey::Variable(long.clone(), "x".into())).is_err());
    assert!(row_prefix(&RowPrefix::Requests(long)).is_err());
    assert_eq!(prefix_end(&[1, 0xff, 0xff]), Some(vec![2]));
    assert_eq!(prefix_end(&[0xff]), None);
}
