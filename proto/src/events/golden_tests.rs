//! Events as files: what was encoded when a kind of event was made is decoded today, and folds. Events outlive
//! releases, so a difference is a mistake: a new field goes into the sample of its kind, and the file that lacks
//! it moves to `earlier`. `GOLDEN_WRITE=1` writes files that are missing.
//!
//! - `full`: a log in which each kind of event, of answer and of value is there with all its fields.
//! - `least`: the same kinds with nothing but what a fold needs.
//! - `earlier`: logs encoded by the schemas of earlier builds, with protobuf's own library: `first` is of the
//!   first schema, `bridge` of the one before types and rules stood in each write.

mod earlier;
mod full;
mod least;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use prost::Message as _;
use snakepit_machine::{MemoryRows, Payload, RowsExt as _, Value, replay};

use super::whole::{Content, Shape, Wire, shapes};
use super::{DecodeError, check_whole, decode, encode, to_stored};
use crate::stored;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden/events")
        .join(name)
}

/// The bytes of a file; `now` are written to it where it is missing and that was asked for.
fn golden(folder_name: &str, name: &str, now: Option<&[u8]>) -> Vec<u8> {
    let path = folder(folder_name).join(format!("{name}.hex"));
    if let Some(now) = now
        && std::env::var_os("GOLDEN_WRITE").is_some()
        && !path.exists()
    {
        let lines = now.chunks(32).map(|line| {
            let line: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
            line + "\n"
        });
        std::fs::write(&path, lines.collect::<String>()).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; GOLDEN_WRITE=1 writes files that are missing",
            path.display()
        )
    });
    let digits: Vec<_> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

/// Files of a folder, without their ending.
fn files(folder_name: &str) -> BTreeSet<String> {
    let listed = std::fs::read_dir(folder(folder_name)).unwrap();
    let name = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    listed.map(|entry| name(entry.unwrap().path())).collect()
}

/// An event as today's code writes it: without principal and cause they are nobody and nothing, and a past without
/// positions is none.
fn with_defaults(mut event: stored::Event) -> stored::Event {
    use stored::event::Payload;
    event.principal.get_or_insert_default();
    event.cause.get_or_insert_default();
    let past = match &mut event.payload {
        Some(Payload::VariableRegistered(body)) => &mut body.past,
        Some(Payload::VariableSet(body)) => &mut body.past,
        Some(Payload::VariableRolledBack(body)) => &mut body.past,
        _ => return event,
    };
    *past = past.take().filter(|past| *past != stored::Past::default());
    event
}

#[test]
fn full_events_are_encoded_and_decoded_as_ever() {
    let log = full::log();
    let mut rows = MemoryRows::default();
    for (name, event) in &log {
        let bytes = golden("full", name, Some(&encode(event.clone())));
        assert_eq!(
            encode(event.clone()),
            bytes,
            "{name} is encoded in another way"
        );
        assert_eq!(decode(&bytes).unwrap(), *event, "{name}");
        check_whole(&bytes).unwrap();
        replay(&mut rows, event).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let names: BTreeSet<_> = log.into_iter().map(|(name, _)| name).collect();
    assert_eq!(files("full"), names);
}

#[test]
fn events_with_the_least_are_decoded_with_defaults() {
    let log = least::log();
    let mut rows = MemoryRows::default();
    for (name, event) in &log {
        let bytes = golden("least", name, Some(&event.encode_to_vec()));
        let read = decode(&bytes).unwrap();
        assert_eq!(
            to_stored(read.clone()),
            with_defaults(event.clone()),
            "{name}"
        );
        check_whole(&bytes).unwrap();
        replay(&mut rows, &read).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let names: BTreeSet<_> = log.into_iter().map(|(name, _)| name).collect();
    assert_eq!(files("least"), names);
}

#[test]
fn no_kind_is_without_a_file() {
    let full: Vec<_> = full::log();
    let names: BTreeSet<_> = full.iter().map(|(_, event)| event.payload.name()).collect();
    assert_eq!(names, Payload::NAMES.into_iter().collect());
    assert_eq!(names.len(), Payload::NAMES.len(), "a name stands twice");
    let least = least::log();
    let least = least.iter().map(|(_, event)| {
        let read = decode(&event.encode_to_vec()).unwrap();
        read.payload.name()
    });
    assert_eq!(names, least.collect());

    // And the machine's names are those of the schema, in which nothing is left out either.
    let of_schema = |oneof: &str, of: &str| -> BTreeSet<String> {
        let shape = &shapes()[&format!(".snakepit.events.v1.{of}")];
        let fields = shape.fields.values().filter(|it| it.oneof.is_some());
        let name = |field: &super::whole::Field| match oneof {
            "payload" => field.message.rsplit('.').next().unwrap().to_owned(),
            _ => field.name.clone(),
        };
        fields.map(name).collect()
    };
    let own: BTreeSet<_> = names.into_iter().map(str::to_owned).collect();
    assert_eq!(of_schema("payload", "Event"), own);
    let answers = full
        .iter()
        .filter_map(|(_, event)| to_stored(event.clone()).answer);
    let answers: BTreeSet<_> = answers
        .map(|answer| present(".snakepit.events.v1.Answer", &answer.encode_to_vec()))
        .collect();
    assert_eq!(of_schema("kind", "Answer"), answers);
    let values = full
        .iter()
        .filter_map(|(_, event)| match to_stored(event.clone()).payload {
            Some(stored::event::Payload::VariableSet(body)) => body.value,
            _ => None,
        });
    let values: BTreeSet<_> = values
        .map(|value| present(".snakepit.events.v1.Value", &value.encode_to_vec()))
        .collect();
    assert_eq!(of_schema("kind", "Value"), values);
}

/// The member of a oneof that is there.
fn present(message: &str, bytes: &[u8]) -> String {
    let (number, _) = Wire(bytes).field().unwrap();
    shapes()[message].fields[&number].name.clone()
}

#[test]
fn full_events_have_all_their_fields() {
    for (name, event) in full::log() {
        let shape = &shapes()[".snakepit.events.v1.Event"];
        let bytes = encode(event.clone());
        let mut missing = absent(shape, "", &bytes);
        // Of no session; and not every event ends a request.
        missing.retain(|field| !["answer", "session_id", "revision"].contains(&field.as_str()));
        assert_eq!(missing, Vec::<String>::new(), "{name}");
    }
}

/// Fields that are not there, but members of oneofs, at any depth.
fn absent(shape: &Shape, path: &str, bytes: &[u8]) -> Vec<String> {
    let mut missing: BTreeSet<_> = shape.fields.keys().copied().collect();
    let mut found = Vec::new();
    let mut left = Wire(bytes);
    while let Some((number, content)) = left.field() {
        let field = &shape.fields[&number];
        missing.remove(&number);
        if let (Content::Bytes(inner), Some(shape)) = (content, shapes().get(&field.message)) {
            let path = format!("{path}{}.", field.name);
            found.extend(absent(shape, &path, inner));
        }
    }
    let missing = missing.into_iter().map(|number| &shape.fields[&number]);
    let missing = missing.filter(|field| field.oneof.is_none());
    found.extend(missing.map(|field| format!("{path}{}", field.name)));
    found
}

#[test]
fn events_of_earlier_builds_are_read_with_defaults_and_fold() {
    let mut names = BTreeSet::new();
    for (build, log) in earlier::logs() {
        let mut rows = MemoryRows::default();
        for (position, (name, wanted)) in (1..).zip(log) {
            let name = format!("{build}-{position:02}-{name}");
            let bytes = golden("earlier", &name, None);
            let event = decode(&bytes).unwrap();
            assert_eq!(to_stored(event.clone()), with_defaults(wanted), "{name}");
            check_whole(&bytes).unwrap();
            replay(&mut rows, &event).unwrap_or_else(|error| panic!("{name}: {error}"));
            names.insert(name);
        }
        let session = rows.session("s").unwrap().unwrap();
        assert_eq!(session.imported_from, "");
        let x = rows.variable_named("s", "x").unwrap().unwrap();
        // The type is that of the registration, where writes did not repeat it.
        assert_eq!(
            (x.type_name.as_str(), x.access_json.as_str()),
            ("float", "")
        );
        assert_eq!(x.value, Value::Float(2.5), "{build}");
    }
    assert_eq!(files("earlier"), names);
}

#[test]
fn what_a_newer_release_wrote_is_never_passed_over() {
    // A field that is not known: at the top, in the payload, in a message within.
    let (_, event) = full::log().swap_remove(0);
    let mut bytes = encode(event.clone());
    bytes.extend([0xf8, 0x3f, 1]);
    let error = check_whole(&bytes).unwrap_err();
    let wanted =
        "this release does not read all of the event: Event has an unknown field 1023; hint: ";
    assert!(error.to_string().starts_with(wanted), "{error}");
    // It is read: who folds needs no more than it knows. Its bytes are what is stored and hashed.
    assert_eq!(decode(&bytes).unwrap(), event);

    let principal = [0x0a, 0x01, b'a', 0xf8, 0x3f, 1];
    let mut inner = vec![0x3a, principal.len() as u8];
    inner.extend(principal);
    let error = check_whole(&inner).unwrap_err().to_string();
    assert!(
        error.contains("Principal has an unknown field 1023"),
        "{error}"
    );

    // A kind of event, of value and of answer that is not known.
    let unknown = stored::Event {
        position: 1,
        ..Default::default()
    };
    let mut bytes = unknown.encode_to_vec();
    bytes.extend([0xc2, 0x3f, 0]);
    let error = decode(&bytes).unwrap_err();
    assert!(matches!(error, DecodeError::Unknown("payload")), "{error}");
    assert!(error.to_string().contains("hint: read it with the release"));
    for (kind, answer) in [("value", false), ("answer", true)] {
        let put = stored::ProgramPut {
            value: (!answer).then(stored::Value::default),
            ..Default::default()
        };
        let touched = stored::event::Payload::SessionTouched(stored::SessionTouched {});
        let event = stored::Event {
            answer: answer.then(stored::Answer::default),
            payload: Some(match answer {
                true => touched,
                false => stored::event::Payload::ProgramPut(put),
            }),
            ..Default::default()
        };
        let error = decode(&event.encode_to_vec()).unwrap_err();
        assert!(
            matches!(error, DecodeError::Unknown(of) if of == kind),
            "{error}"
        );
    }
}

#[test]
fn bytes_of_which_something_is_lost_are_told() {
    let told = |bytes: &[u8]| check_whole(bytes).unwrap_err().to_string();
    assert!(told(&[8, 1, 8, 1]).contains("Event.position stands twice"));
    assert!(told(&[0xaa, 1, 0, 0xb2, 1, 0]).contains("stands twice"));
    assert!(told(&[0x3a, 2, 0x10, 2]).contains("Principal.verified is 2"));
    for cut in [[8].as_slice(), &[0x3a, 2, 0x10], &[0x0b], &[0xff; 11]] {
        assert!(told(cut).contains("ends in the middle"), "{cut:?}");
    }
    // A key of metadata that stands twice.
    let entry = [0x0a, 5, 0x0a, 1, b'a', 0x12, 0];
    let created = [entry, entry].concat();
    let mut bytes = vec![0xa2, 1, created.len() as u8];
    bytes.extend(created);
    assert!(told(&bytes).contains("SessionCreated.metadata has a key twice"));
}
