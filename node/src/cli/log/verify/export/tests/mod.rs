//! Exports as a node makes them, of events of every kind, and what is found in them.

mod mutations;

use std::path::Path;
use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use snakepit_client::StoredEvent;
use snakepit_machine::{Array, Dtype, Event, Payload, Value};
use snakepit_proto::events;
use snakepit_storage::tree::{Frontier, Hash, leaf_hash};

use super::super::super::super::output::hex;
use super::super::super::export::{FORMAT, Form, Line, Row, Writer};
use super::batches::{Lines, Table, hashed};
use super::claims::Claims;
use super::fault::Fault;
use super::pass::{Verified, verify};
use crate::evidence::checkpoint::{Checkpoint, SigningKey, origin};

const CLUSTER: &str = "0192f0c4-test";

/// An export, and the log that it is of.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) form: Form,
    pub(super) first: u64,
    /// One for each event: its line, or its row.
    pub(super) lines: Vec<Vec<u8>>,
    pub(super) rows: Vec<Row>,
    pub(super) manifest: Json,
    pub(super) log: Vec<Vec<u8>>,
}

/// The key of the cluster.
pub(super) fn signer() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate("test-cluster").unwrap())
}

/// Events of every kind, with all their fields and with few, and of values that are shown in particular ways.
pub(super) fn events_of_all_kinds() -> Vec<Event> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/golden/events");
    let mut found = Vec::new();
    for kind in ["full", "least"] {
        for entry in std::fs::read_dir(folder.join(kind)).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let digits: Vec<_> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
            let byte =
                |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
            found.push(events::decode(&bytes).unwrap());
        }
    }
    // The order of a folder is that of a file system.
    found.sort_by_key(|event| (event.position, event.raft_index, event.payload.name()));
    let of_value = found
        .iter()
        .find(|event| matches!(event.payload, Payload::VariableSet { .. }))
        .cloned()
        .unwrap();
    for value in particular_values() {
        let mut event = of_value.clone();
        if let Payload::VariableSet { value: held, .. } = &mut event.payload {
            *held = value;
        }
        found.push(event);
    }
    found
}

fn particular_values() -> Vec<Value> {
    let array = |dtype, shape: Vec<u64>, data: Vec<u8>| {
        Value::Array(Array::new(dtype, shape, data).unwrap())
    };
    let singles = [0.1_f32, 16_777_216.0, f32::NEG_INFINITY, -0.0];
    let singles = singles.into_iter().flat_map(f32::to_le_bytes).collect();
    let doubles = [0.1_f64, 1e300, 7.0, f64::NAN];
    let doubles = doubles.into_iter().flat_map(f64::to_le_bytes).collect();
    vec![
        Value::Float(f64::NAN),
        Value::Float(f64::INFINITY),
        Value::Float(1e16),
        Value::Float(5e-324),
        Value::Float(-0.0),
        Value::Integer(u64::MAX.into()),
        Value::Map(r#"{ "b": [1E5, -0, 1.50], "c": 1, "c": 2, "d": "\ud83d\ude00"}"#.into()),
        Value::Map(r#"{"$serde_json::private::Number": "1"}"#.into()),
        Value::List(r#"[{"$serde_json::private::RawValue": "[1,"}]"#.into()),
        Value::Map(r#"{"a": "\ud800"}"#.into()),
        array(Dtype::Float16, vec![2], vec![0, 60, 255, 123]),
        array(Dtype::Float32, vec![2, 2], singles),
        array(Dtype::Float64, vec![4], doubles),
        array(Dtype::Bool, vec![3], vec![0, 1, 2]),
        array(Dtype::Uint64, vec![1], vec![255; 8]),
        array(Dtype::Int8, vec![0], Vec::new()),
    ]
}

/// Bytes of events at positions 1 and on.
pub(super) fn stored(samples: &[Event]) -> Vec<Vec<u8>> {
    let at = |(position, event): (u64, &Event)| {
        events::encode(Event {
            position,
            ..event.clone()
        })
    };
    (1..).zip(samples).map(at).collect()
}

pub(super) fn chained(previous: &Hash, bytes: &[u8]) -> Hash {
    let hash = Sha256::new().chain_update(previous).chain_update(bytes);
    hash.finalize().into()
}

fn tree(log: &[Vec<u8>]) -> Frontier {
    let mut tree = Frontier::default();
    for bytes in log {
        tree.push(leaf_hash(bytes), |_, _| {});
    }
    tree
}

pub(super) fn note(key: &SigningKey, log: &[Vec<u8>], size: usize) -> String {
    Checkpoint {
        origin: origin(CLUSTER),
        size: size as u64,
        root: tree(&log[..size]).root(),
    }
    .sign(key)
}

/// An export of a log from a position on, as somebody with that key makes it.
pub(super) fn made(log: Vec<Vec<u8>>, form: Form, first: u64, key: &SigningKey) -> Made {
    let before = first as usize - 1;
    let mut hash = [0; 32];
    let mut previous = hash;
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    for (at, bytes) in log.iter().enumerate() {
        if at == before {
            previous = hash;
        }
        hash = chained(&hash, bytes);
        if at < before {
            continue;
        }
        let event = events::decode(bytes).unwrap();
        let stored = StoredEvent {
            position: event.position,
            event: bytes.clone().into(),
            hash: hash.to_vec().into(),
        };
        let line = Line {
            form,
            origin: &origin(CLUSTER),
            event: &event,
            stored: Some(&stored),
        };
        let mut text = serde_json::to_vec(&line).unwrap();
        text.push(b'\n');
        lines.push(text);
        rows.push(Row::of(&event, &stored));
    }
    let frontier = tree(&log[..before]);
    let frontier: Vec<_> = frontier.peaks().iter().map(|peak| hex(peak)).collect();
    let manifest = json!({
        "format": FORMAT,
        "form": form.name(),
        "origin": origin(CLUSTER),
        "first": first,
        "last": log.len(),
        "count": log.len() - before,
        "previous_hash": hex(&previous),
        "last_hash": hex(&hash),
        "frontier": frontier,
        "root": hex(&tree(&log).root()),
        "checkpoint": note(key, &log, log.len()),
    });
    let mut made = Made {
        form,
        first,
        lines,
        rows,
        manifest,
        log,
    };
    made.manifest = sealed(&made.manifest, &made.data());
    made
}

/// A manifest with size and SHA-256 of other contents.
pub(super) fn sealed(manifest: &Json, data: &[u8]) -> Json {
    let mut manifest = manifest.clone();
    manifest["bytes"] = data.len().into();
    manifest["sha256"] = hex(&Sha256::digest(data)).into();
    manifest
}

impl Made {
    pub(super) fn data(&self) -> Vec<u8> {
        match self.form {
            Form::Parquet => table(&self.rows),
            Form::Jsonl | Form::Cloudevents => self.lines.concat(),
        }
    }
}

pub(super) fn table(rows: &[Row]) -> Vec<u8> {
    let mut table = Writer::new(Vec::new()).unwrap();
    for row in rows {
        table.push(row.clone()).unwrap();
    }
    table.finish().unwrap()
}

/// Verify without files.
pub(super) fn check(
    data: &[u8],
    manifest: &[u8],
    checkpoint: Option<&str>,
    key: Option<&SigningKey>,
) -> Result<Verified, Fault> {
    let claims = Claims::read(manifest)?;
    let key = key.map(SigningKey::verifying);
    if claims.form == Form::Parquet {
        let contents = hashed(&mut &data[..])?;
        let table = Table::new(Bytes::copy_from_slice(data), contents)?;
        verify(table, &claims, key.as_ref(), checkpoint)
    } else {
        verify(Lines::new(data), &claims, key.as_ref(), checkpoint)
    }
}

fn text(manifest: &Json) -> Vec<u8> {
    manifest.to_string().into_bytes()
}

#[test]
fn events_of_all_kinds_verify_in_all_forms_from_anywhere() {
    let log = stored(&events_of_all_kinds());
    for form in Form::ALL {
        for first in [1, 2, 8, 9, 40, log.len() as u64] {
            let made = made(log.clone(), form, first, signer());
            let manifest = text(&made.manifest);
            for size in [first as usize - 1, first as usize, log.len() - 1, log.len()] {
                let note = note(signer(), &log, size);
                let verified = check(&made.data(), &manifest, Some(&note), Some(signer()));
                let verified = verified.unwrap_or_else(|fault| panic!("{form:?}: {fault:?}"));
                let signed = Some(("test-cluster".to_owned(), log.len() as u64));
                assert_eq!(verified.signed, signed);
                assert_eq!(verified.compared.len(), 2);
            }
            // Without a key it is intact, but anybody's.
            assert_eq!(
                check(&made.data(), &manifest, None, None).unwrap().signed,
                None
            );
        }
    }
}

#[test]
fn long_exports_are_checked_by_several_threads_in_order() {
    let samples = events_of_all_kinds();
    let long: Vec<_> = samples.iter().cycle().take(2_200).cloned().collect();
    let log = stored(&long);
    for form in Form::ALL {
        let mut made = made(log.clone(), form, 1, signer());
        let manifest = text(&made.manifest);
        check(&made.data(), &manifest, None, Some(signer())).unwrap();
        made.lines.swap(2_100, 2_101);
        made.rows.swap(2_100, 2_101);
        let data = made.data();
        let manifest = text(&sealed(&made.manifest, &data));
        let fault = check(&data, &manifest, None, Some(signer())).unwrap_err();
        assert_eq!(fault.message, "event 2101: the bytes are of position 2102");
    }
}

#[test]
fn other_digits_of_a_float_are_as_good() {
    let sample = events_of_all_kinds()
        .into_iter()
        .find(|event| matches!(&event.payload, Payload::VariableSet { value: Value::Float(it), .. } if *it == 1e16))
        .unwrap();
    for form in [Form::Jsonl, Form::Cloudevents] {
        let made = made(stored(std::slice::from_ref(&sample)), form, 1, signer());
        let line = String::from_utf8(made.data()).unwrap();
        for (digits, sound) in [
            ("10000000000000000.0", true),
            ("1.1e16", false),
            ("1", false),
        ] {
            let changed = line.replace("1e+16", digits);
            assert_ne!(changed, line);
            let manifest = text(&sealed(&made.manifest, changed.as_bytes()));
            let checked = check(changed.as_bytes(), &manifest, None, Some(signer()));
            assert_eq!(checked.is_ok(), sound, "{checked:?}");
        }
    }
}

#[test]
fn what_is_wrong_is_told() {
    let samples: Vec<_> = events_of_all_kinds().into_iter().take(9).collect();
    let log = stored(&samples);
    let jsonl = made(log.clone(), Form::Jsonl, 1, signer());
    let fault = |data: &[u8], manifest: &Json, checkpoint: Option<&str>| {
        check(data, &text(manifest), checkpoint, Some(signer())).unwrap_err()
    };
    let lines = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut lines = jsonl.lines.clone();
        change(&mut lines);
        let data = lines.concat();
        fault(&data, &sealed(&jsonl.manifest, &data), None).message
    };
    assert_eq!(
        lines(&|lines| drop(lines.pop())),
        "event 9: the file ends in front of it"
    );
    assert_eq!(
        lines(&|lines| lines.push(b"{}\n".to_vec())),
        "the file goes on behind event 9, the last one of the manifest"
    );
    assert_eq!(
        lines(&|lines| lines[3] = b"x\n".to_vec()),
        "event 4: its line is not one JSON object: something is around it"
    );
    let renamed = lines(&|lines| {
        let line = String::from_utf8(lines[1].clone()).unwrap();
        lines[1] = line.replacen("\"ada\"", "\"eve\"", 1).into_bytes();
    });
    if !renamed.is_empty() {
        assert_eq!(
            renamed,
            "event 2: principal.name is \"eve\", the bytes say \"ada\""
        );
    }

    // Somebody without the key makes all fit but the signature.
    let other = SigningKey::generate("test-cluster").unwrap();
    let forged = made(log.clone(), Form::Jsonl, 1, &other);
    let told = fault(&forged.data(), &forged.manifest, None);
    assert!(told.message.contains("not signed by this key"), "{told:?}");
    let mut unsigned = jsonl.manifest.clone();
    unsigned.as_object_mut().unwrap().remove("checkpoint");
    let told = fault(&jsonl.data(), &unsigned, None);
    assert_eq!(told.message, "the manifest has no checkpoint");
    let note = note(signer(), &log, 5);
    let verified = check(&jsonl.data(), &text(&unsigned), Some(&note), Some(signer()));
    assert_eq!(verified.unwrap().signed, Some(("test-cluster".into(), 5)));

    // Bytes that a newer release wrote: nothing of them is passed over.
    let mut newer = log.clone();
    newer[8].extend([0xf8, 0x3f, 1]);
    let newer = made(newer, Form::Jsonl, 1, signer());
    let told = fault(&newer.data(), &newer.manifest, None);
    assert!(
        told.message.contains("Event has an unknown field 1023"),
        "{told:?}"
    );
    assert!(told.hint.contains("read it with the release"), "{told:?}");
}

#[test]
fn tables_with_anything_else_in_them_are_refused() {
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    let refused = |data: Vec<u8>| Table::new(Bytes::from(data), (0, [0; 32])).err().unwrap();
    assert!(refused(b"PAR1".to_vec()).message.contains("Parquet"));
    let schema = parse_message_type("message event { required int64 position; }").unwrap();
    let properties = WriterProperties::builder().build().into();
    let writer = SerializedFileWriter::new(Vec::new(), schema.into(), properties).unwrap();
    let fault = refused(writer.into_inner().unwrap());
    assert_eq!(fault.message, "the columns are not those of an export");
}
