//! Exports that somebody changed: none of them verifies, and no change brings the verifier down.

use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value as Json, json};
use snakepit_machine::json;
use snakepit_proto::events;
use snakepit_storage::tree::Hash;

use super::super::super::super::export::{Form, Reader};
use super::*;

const MUTATIONS: usize = 10_000;
const EVENTS: usize = 12;

/// A changed export: file, manifest, and what its auditor was given.
type Changed = (Vec<u8>, Vec<u8>, Option<String>);

/// What makes one.
type Change = fn(&mut StdRng, &Case) -> Changed;

/// An export, its file, and its auditor's checkpoint.
struct Case {
    made: Made,
    data: Vec<u8>,
    checkpoint: Option<String>,
}

fn cases() -> Vec<Case> {
    let samples = events_of_all_kinds();
    let mut cases = Vec::new();
    for at in (0..samples.len()).step_by(8) {
        let some: Vec<_> = samples
            .iter()
            .cycle()
            .skip(at)
            .take(EVENTS)
            .cloned()
            .collect();
        let log = stored(&some);
        for form in Form::ALL {
            for first in [1, 6, 8, 9] {
                let made = made(log.clone(), form, first, signer());
                let data = made.data();
                for given in [false, true] {
                    cases.push(Case {
                        checkpoint: given.then(|| note(signer(), &log, EVENTS)),
                        made: made.clone(),
                        data: data.clone(),
                    });
                }
            }
        }
    }
    cases
}

/// Something else of the same kind, mostly.
fn other_value(draw: &mut StdRng, value: &Json) -> Json {
    let number = |text: &str| json::read(text).unwrap();
    if draw.random_bool(0.1) {
        let any = [
            json!(null),
            json!(true),
            json!(0),
            json!(""),
            json!("x"),
            json!([]),
            json!({}),
            number("1.5"),
            number("-1180591620717411303424"),
        ];
        return any.choose(draw).unwrap().clone();
    }
    match value {
        Json::Null => [json!(0), json!(false), json!("")]
            .choose(draw)
            .unwrap()
            .clone(),
        Json::Bool(truth) => json!(!truth),
        Json::Number(own) => match own.as_i64() {
            Some(whole) => match draw.random_range(0..4) {
                0 => json!(whole.wrapping_add(1)),
                1 => json!(whole.wrapping_sub(1)),
                2 => json!(own.to_string()),
                _ => number(&format!("{own}.0")),
            },
            None => match own.to_string().strip_prefix('-') {
                Some(positive) => number(positive),
                None => number(&format!("-{own}")),
            },
        },
        Json::String(text) => {
            let letters: Vec<char> = text.chars().collect();
            let at = draw.random_range(0..=letters.len());
            let new = *[
                'a', 'Z', '0', '+', '/', '=', ' ', '\n', '\0', 'é', '\u{2028}', '-',
            ]
            .choose(draw)
            .unwrap();
            let (front, behind) = letters.split_at(at);
            let behind = match draw.random_range(0..3) {
                0 => [&[new], behind].concat(),
                1 => [&[new], behind.get(1..).unwrap_or_default()].concat(),
                _ => Vec::new(),
            };
            json!(front.iter().chain(&behind).collect::<String>())
        }
        Json::Array(items) => match draw.random_range(0..3) {
            0 => json!([items.as_slice(), &[Json::Null]].concat()),
            1 => json!(items.iter().skip(1).collect::<Vec<_>>()),
            _ => json!(items.iter().rev().collect::<Vec<_>>()),
        },
        Json::Object(fields) => {
            let mut fields = fields.clone();
            match draw.random_range(0..3) {
                0 => drop(fields.insert("x".into(), Json::Null)),
                1 => drop(
                    fields
                        .keys()
                        .next()
                        .cloned()
                        .and_then(|key| fields.remove(&key)),
                ),
                _ => fields = Map::from_iter([(String::new(), fields.into())]),
            }
            fields.into()
        }
    }
}

/// Pointers to all parts of a document but the whole.
fn parts(value: &Json, path: &str, into: &mut Vec<String>) {
    let inner: Vec<_> = match value {
        Json::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value))
            .collect(),
        Json::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at, value)| (at.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    for (key, value) in inner {
        let path = format!("{path}/{key}");
        parts(value, &path, into);
        into.push(path);
    }
}

/// A copy in which one thing is another, or is not there.
fn with_other(draw: &mut StdRng, value: &Json) -> Json {
    let mut paths = Vec::new();
    parts(value, "", &mut paths);
    loop {
        let mut changed = value.clone();
        let path = paths.choose(draw).unwrap();
        let (above, key) = path.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/").replace("~0", "~");
        let above = changed.pointer_mut(above).unwrap();
        if draw.random_bool(0.15) {
            match above {
                Json::Object(fields) => drop(fields.remove(&key)),
                Json::Array(items) => drop(items.remove(key.parse::<usize>().unwrap())),
                _ => {}
            }
        } else {
            let place = match above {
                Json::Array(items) => &mut items[key.parse::<usize>().unwrap()],
                other => &mut other[key],
            };
            *place = other_value(draw, place);
        }
        if changed != *value {
            return changed;
        }
    }
}

fn flip(draw: &mut StdRng, data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    let at = draw.random_range(0..data.len());
    data[at] ^= 1 << draw.random_range(0..8);
    data
}

fn bits(draw: &mut StdRng, case: &Case) -> Changed {
    let manifest = text(&case.made.manifest);
    (flip(draw, &case.data), manifest, case.checkpoint.clone())
}

/// What a file says: its lines with all numbers that are rounded anyhow, or its rows.
fn meant(form: Form, data: &[u8]) -> Option<String> {
    fn rounded(value: &mut Json) {
        match value {
            Json::Number(number) => {
                let text = number.to_string();
                if text.contains(['.', 'e']) {
                    // Digits that no float32 holds do not count.
                    *value = format!("{:.5e}", text.parse::<f64>().unwrap()).into();
                }
            }
            Json::Array(items) => items.iter_mut().for_each(rounded),
            Json::Object(fields) => fields.values_mut().for_each(rounded),
            _ => {}
        }
    }
    if form == Form::Parquet {
        let mut reader = Reader::new(Bytes::copy_from_slice(data)).ok()?;
        let mut rows = Vec::new();
        loop {
            let more = reader.rows(usize::MAX, usize::MAX).ok()?;
            if more.is_empty() {
                return Some(format!("{rows:?}"));
            }
            rows.extend(more);
        }
    }
    let lines = std::str::from_utf8(data).ok()?.split('\n');
    let read = lines.filter(|line| !line.is_empty()).map(|line| {
        let mut line = json::read_unique(line).ok()?;
        rounded(&mut line);
        Some(line)
    });
    let read: Option<Vec<_>> = read.collect();
    Some(format!("{} {:?}", data.ends_with(b"\n"), read?))
}

/// A bit that means something, and the manifest made to fit.
fn bits_sealed(draw: &mut StdRng, case: &Case) -> Changed {
    let before = meant(case.made.form, &case.data);
    loop {
        let data = flip(draw, &case.data);
        let after = catch_unwind(|| meant(case.made.form, &data)).unwrap_or(None);
        if after != before {
            let manifest = text(&sealed(&case.made.manifest, &data));
            return (data, manifest, case.checkpoint.clone());
        }
    }
}

/// Events left out, repeated, in another order.
fn order(draw: &mut StdRng, case: &Case) -> Changed {
    let mut made = case.made.clone();
    let count = made.lines.len();
    let (at, to) = (draw.random_range(0..count), draw.random_range(0..count));
    match draw.random_range(0..3) {
        0 => {
            made.lines.remove(at);
            made.rows.remove(at);
        }
        1 => {
            made.lines.insert(to, made.lines[at].clone());
            made.rows.insert(to, made.rows[at].clone());
        }
        _ => {
            let other = (at + 1 + to % (count - 1)) % count;
            made.lines.swap(at, other);
            made.rows.swap(at, other);
        }
    }
    let data = made.data();
    let mut manifest = made.manifest.clone();
    if draw.random_bool(0.7) {
        manifest = sealed(&manifest, &data);
    }
    if draw.random_bool(0.2) {
        manifest["count"] = json!(made.lines.len());
        manifest["last"] = json!(made.first - 1 + made.lines.len() as u64);
    }
    (data, text(&manifest), case.checkpoint.clone())
}

/// Lines that are none.
fn lines(draw: &mut StdRng, case: &Case) -> Changed {
    if case.made.form == Form::Parquet {
        return order(draw, case);
    }
    let mut lines = case.made.lines.clone();
    let at = draw.random_range(0..lines.len());
    let line = lines[at].clone();
    match draw.random_range(0..6) {
        0 => lines.insert(at, b"\n".to_vec()),
        1 => lines.insert(at, b"{}\n".to_vec()),
        2 => lines[at] = [b" ", line.as_slice()].concat(),
        3 => lines[at] = [&line[..line.len() - 1], b"\r\n"].concat(),
        4 => lines[at] = [line.as_slice(), b"\n"].concat(),
        _ => lines[at] = line[..line.len() - 1].to_vec(),
    }
    let data = lines.concat();
    let manifest = text(&sealed(&case.made.manifest, &data));
    (data, manifest, case.checkpoint.clone())
}

fn cut(draw: &mut StdRng, case: &Case) -> Changed {
    let data = case.data[..draw.random_range(0..case.data.len())].to_vec();
    let manifest = match draw.random_bool(0.7) {
        true => sealed(&case.made.manifest, &data),
        false => case.made.manifest.clone(),
    };
    (data, text(&manifest), case.checkpoint.clone())
}

/// Something that is shown says another thing.
fn readable(draw: &mut StdRng, case: &Case) -> Changed {
    let mut made = case.made.clone();
    let at = draw.random_range(0..made.lines.len());
    if made.form == Form::Parquet {
        other_column(draw, &mut made.rows[at]);
    } else {
        let line = std::str::from_utf8(&made.lines[at]).unwrap();
        let changed = with_other(draw, &json::read(line).unwrap());
        made.lines[at] = format!("{changed}\n").into_bytes();
    }
    let data = made.data();
    let manifest = text(&sealed(&made.manifest, &data));
    (data, manifest, case.checkpoint.clone())
}

fn other_column(draw: &mut StdRng, row: &mut Row) {
    let before = row.clone();
    while *row == before {
        let text = |draw: &mut StdRng, text: &str| match other_value(draw, &json!(text)) {
            Json::String(text) => text,
            other => other.to_string(),
        };
        match draw.random_range(0..18) {
            0 => row.position ^= 1 << draw.random_range(0..64),
            1 => row.time = [None, Some(0), Some(-1), Some(7)][draw.random_range(0..4)],
            2 => row.time_ms ^= 1 << draw.random_range(0..64),
            3 => row.session = text(draw, &row.session),
            4 => row.revision ^= 1 << draw.random_range(0..64),
            5 => row.event = text(draw, &row.event),
            6 => {
                let change = json::read(&row.change).unwrap();
                if change.as_object().is_some_and(|fields| !fields.is_empty()) {
                    row.change = with_other(draw, &change).to_string();
                }
            }
            7 => row.principal = text(draw, &row.principal),
            8 => row.principal_verified = !row.principal_verified,
            9 => row.cause_request = Some(text(draw, "r")),
            10 => row.cause_call = Some(String::new()),
            11 => row.cause_tool = None,
            12 => row.cause_worker = Some(text(draw, "w")),
            13 => row.cause_node = Some(draw.random_range(0..2)),
            14 => row.raft_index ^= 1 << draw.random_range(0..64),
            15 => row.raft_term ^= 1 << draw.random_range(0..64),
            16 => row.hash = flip(draw, &row.hash),
            _ => row.bytes = flip(draw, &row.bytes),
        }
    }
}

/// Another event, and everything behind it made to fit, up to the signature.
fn forged(draw: &mut StdRng, case: &Case) -> Changed {
    let mut log = case.made.log.clone();
    let at = draw.random_range(case.made.first as usize - 1..EVENTS);
    let mut event = events::decode(&log[at]).unwrap();
    event.raft_term = 1 << 40;
    event.revision = draw.random_range(0..1 << 50);
    log[at] = events::encode(event.clone());
    if draw.random_bool(0.2) {
        // What nobody is shown, and what a reader of today's schema would pass over.
        log[at].extend([0xa0, 0x06, 0x00]);
    }
    let other = SigningKey::generate("test-cluster").unwrap();
    let made = made(log, case.made.form, case.made.first, &other);
    let mut manifest = made.manifest.clone();
    let own = case.made.manifest["checkpoint"]
        .as_str()
        .unwrap()
        .to_owned();
    let (text_of_own, signature) = own.split_once("\n\n").unwrap();
    match draw.random_range(0..3) {
        0 => {}
        1 if case.checkpoint.is_some() => {
            manifest.as_object_mut().unwrap().remove("checkpoint");
        }
        _ => {
            let root: Hash = blake3::Hash::from_hex(manifest["root"].as_str().unwrap())
                .unwrap()
                .into();
            let lines: Vec<_> = text_of_own.split('\n').collect();
            let root = STANDARD.encode(root);
            let new = format!("{}\n{}\n{root}\n\n{signature}", lines[0], lines[1]);
            manifest["checkpoint"] = [own.clone(), new].choose(draw).unwrap().as_str().into();
        }
    }
    (made.data(), text(&manifest), case.checkpoint.clone())
}

fn other_manifest(draw: &mut StdRng, case: &Case) -> Changed {
    let manifest = &case.made.manifest;
    let whole = text(manifest);
    let changed = loop {
        let changed = match draw.random_range(0..10) {
            0..3 => flip(draw, &whole),
            3 => {
                let fields = manifest.as_object().unwrap();
                let at = draw.random_range(0..fields.len());
                let (name, value) = fields.iter().nth(at).unwrap();
                let cut = std::str::from_utf8(&whole[..whole.len() - 1]).unwrap();
                format!("{cut},\"{name}\":{value}}}").into_bytes()
            }
            _ => {
                let changed = with_other(draw, manifest);
                // One without a checkpoint is as good, where the auditor has one.
                if case.checkpoint.is_some() && changed.get("checkpoint").is_none() {
                    continue;
                }
                text(&changed)
            }
        };
        let read = std::str::from_utf8(&changed).ok().map(json::read_unique);
        if !matches!(&read, Some(Ok(read)) if read == manifest) {
            break changed;
        }
    };
    (case.data.clone(), changed, case.checkpoint.clone())
}

fn other_checkpoint(draw: &mut StdRng, case: &Case) -> Changed {
    let log = &case.made.log;
    let own = note(signer(), log, EVENTS);
    let mut changed = own.clone();
    while changed == own {
        changed = match draw.random_range(0..5) {
            0 => String::from_utf8(flip(draw, own.as_bytes())).unwrap_or_else(|_| own.clone()),
            1 => note(&SigningKey::generate("test-cluster").unwrap(), log, EVENTS),
            2 => {
                let mut other = log.clone();
                other[0].push(0);
                note(signer(), &other, draw.random_range(1..=EVENTS))
            }
            3 => Checkpoint {
                origin: origin("another"),
                size: EVENTS as u64,
                root: tree(log).root(),
            }
            .sign(signer()),
            _ => match other_value(draw, &json!(own)) {
                Json::String(text) => text,
                _ => continue,
            },
        };
    }
    let manifest = text(&case.made.manifest);
    (case.data.clone(), manifest, Some(changed))
}

/// Kinds of change: their names, and what makes them.
const KINDS: [(&str, Change); 10] = [
    ("bits", bits),
    ("bits_sealed", bits_sealed),
    ("order", order),
    ("lines", lines),
    ("cut", cut),
    ("readable", readable),
    ("readable", readable),
    ("forged", forged),
    ("other_manifest", other_manifest),
    ("other_checkpoint", other_checkpoint),
];

#[test]
fn no_change_goes_unseen() {
    let seed = std::env::var("SNAKEPIT_VERIFY_SEED").ok();
    let seed = seed.map_or_else(rand::random, |seed| seed.parse::<u64>().unwrap());
    println!("SNAKEPIT_VERIFY_SEED={seed}");
    let mut draw = StdRng::seed_from_u64(seed);
    let cases = cases();
    for case in &cases {
        let manifest = text(&case.made.manifest);
        let checked = check(
            &case.data,
            &manifest,
            case.checkpoint.as_deref(),
            Some(signer()),
        );
        checked.unwrap_or_else(|fault| panic!("{:?}: {fault:?}", case.made.form));
    }
    for number in 0..MUTATIONS {
        let case = cases.choose(&mut draw).unwrap();
        let (name, change) = KINDS.choose(&mut draw).unwrap();
        let (data, manifest, checkpoint) = change(&mut draw, case);
        let about = format!("seed {seed}: change {number}, {name}, {:?}", case.made.form);
        let checked = catch_unwind(AssertUnwindSafe(|| {
            check(&data, &manifest, checkpoint.as_deref(), Some(signer()))
        }));
        let checked = checked.unwrap_or_else(|_| panic!("{about}, brings it down"));
        let Err(fault) = checked else {
            panic!("{about}, is not seen");
        };
        assert!(!fault.message.is_empty(), "{about}");
        let printable = |letter: char| !letter.is_control();
        assert!(fault.message.chars().all(printable), "{about}: {fault:?}");
    }
}
