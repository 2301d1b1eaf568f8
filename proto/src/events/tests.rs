use std::collections::BTreeMap;

use proptest::prelude::*;
use snakepit_machine::{Answer, Cause, Event, Payload, Principal, Rejection, Value};

use super::{decode, encode};

fn texts() -> impl Strategy<Value = BTreeMap<String, String>> {
    proptest::collection::btree_map(".{0,8}", ".{0,8}", 0..3)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<f64>().prop_map(Value::Float),
        any::<i128>().prop_map(|number| Value::Integer(number.into())),
        ".{0,16}".prop_map(Value::String),
        any::<bool>().prop_map(Value::Boolean),
    ]
}

fn payload() -> impl Strategy<Value = Payload> {
    let named = || (".{0,8}", ".{0,8}", any::<u64>());
    prop_oneof![
        (texts(), any::<u64>())
            .prop_map(|(metadata, ttl_ms)| Payload::SessionCreated { metadata, ttl_ms }),
        Just(Payload::SessionTouched),
        Just(Payload::SessionDeleted),
        any::<u64>().prop_map(|deadline_ms| Payload::SessionExpired { deadline_ms }),
        (named(), value(), texts()).prop_map(|((id, name, version), value, metadata)| {
            let (type_name, constraints_json) = ("float".into(), "{}".into());
            Payload::VariableRegistered {
                id,
                name,
                type_name,
                value,
                constraints_json,
                metadata,
                version,
            }
        }),
        (named(), value(), texts()).prop_map(|((id, name, version), value, metadata)| {
            Payload::VariableSet {
                id,
                name,
                value,
                metadata,
                version,
            }
        }),
        named().prop_map(|(id, name, version)| Payload::VariableDeleted { id, name, version }),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        any::<bool>().prop_map(|created| Answer::SessionCreated { created }),
        any::<(bool, u64)>()
            .prop_map(|(existed, variables)| Answer::SessionDeleted { existed, variables }),
        any::<bool>().prop_map(|valid| Answer::SessionTouched { valid }),
        (".{0,8}", any::<u64>())
            .prop_map(|(id, version)| Answer::VariableRegistered { id, version }),
        (
            proptest::collection::btree_map(".{0,4}", any::<u64>(), 0..3),
            ".{0,4}"
        )
            .prop_map(|(versions, name)| {
                let refused = BTreeMap::from([(name.clone(), Rejection::no_variable(&name))]);
                Answer::VariablesSet { versions, refused }
            }),
        Just(Answer::VariableDeleted),
    ]
}

proptest! {
    #[test]
    fn events_come_back(
        numbers in any::<(u64, u64, u64, u64, u64, u64)>(),
        session_id in ".{0,8}",
        request_id in ".{0,8}",
        verified in any::<bool>(),
        answer in proptest::option::of(answer()),
        payload in payload(),
    ) {
        let event = Event {
            position: numbers.0,
            session_id,
            revision: numbers.1,
            raft_index: numbers.2,
            raft_term: numbers.3,
            time_ms: numbers.4,
            principal: Principal { name: "someone".into(), verified },
            cause: Cause { request_id, tool: "tool".into(), node: numbers.5, ..Cause::default() },
            answer,
            payload,
        };
        let bytes = encode(&event);
        prop_assert_eq!(&encode(&event), &bytes);
        prop_assert_eq!(decode(&bytes).unwrap(), event);
    }

    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
        let _ = decode(&bytes);
    }
}
