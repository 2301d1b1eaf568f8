//! What is shown, beside what the bytes say.

use serde_json::Value as Json;
use snakepit_machine::{Dtype, Payload, Value};

/// Enough of a value to know it by, in characters.
const SHOWN_CHARS: usize = 60;

/// The first thing in which `found` is not what it should be.
pub(super) fn difference(want: &Json, found: &Json) -> Option<String> {
    at("", want, found)
}

fn at(path: &str, want: &Json, found: &Json) -> Option<String> {
    if want == found {
        return None;
    }
    let place = safe(path);
    match (want, found) {
        (Json::Object(want), Json::Object(found)) => {
            let inner = |name: &str| match path {
                "" => name.to_owned(),
                path => format!("{path}.{name}"),
            };
            let missing = want.iter().find(|(name, _)| !found.contains_key(*name));
            if let Some((name, value)) = missing {
                let (place, value) = (safe(&inner(name)), shown(value));
                return Some(format!("{place} is missing, the bytes say {value}"));
            }
            found.iter().find_map(|(name, found)| match want.get(name) {
                Some(want) => at(&inner(name), want, found),
                None => {
                    let (place, value) = (safe(&inner(name)), shown(found));
                    Some(format!("{place} is {value}, there is no such field"))
                }
            })
        }
        (Json::Array(want), Json::Array(found)) if want.len() == found.len() => {
            let mut pairs = want.iter().zip(found).enumerate();
            pairs.find_map(|(index, (want, found))| at(&format!("{path}[{index}]"), want, found))
        }
        (Json::Array(want), Json::Array(found)) => Some(format!(
            "{place} has {} items, the bytes say {}",
            found.len(),
            want.len()
        )),
        _ => {
            let (found, want) = (shown(found), shown(want));
            Some(format!("{place} is {found}, the bytes say {want}"))
        }
    }
}

/// JSON for people, cut, and harmless on a terminal.
pub(super) fn shown(value: &Json) -> String {
    safe(&value.to_string())
}

/// Text that somebody may have made up, for a terminal.
pub(super) fn safe(text: &str) -> String {
    let mut safe = String::new();
    for (count, letter) in text.chars().enumerate() {
        if count == SHOWN_CHARS {
            safe.push('…');
            break;
        }
        match letter {
            '"' | '\'' | '\\' => safe.push(letter),
            letter => safe.extend(letter.escape_debug()),
        }
    }
    safe
}

/// Where a change shows a floating-point number in other digits that read back as the same one, put those that
/// are wanted: they are as good.
pub(super) fn settle(payload: &Payload, want: &Json, found: &mut Json) {
    let value = match payload {
        Payload::VariableRegistered { value, .. }
        | Payload::VariableSet { value, .. }
        | Payload::VariableRolledBack { value, .. }
        | Payload::ProgramPut { value, .. } => value,
        _ => return,
    };
    let (Some(want), Some(found)) = (
        want.pointer("/change/value"),
        found.pointer_mut("/change/value"),
    ) else {
        return;
    };
    match value {
        Value::Float(_) => settle_one(want, found, false),
        Value::Array(array) => {
            let single = match array.dtype {
                Dtype::Float32 => true,
                Dtype::Float16 | Dtype::Float64 => false,
                _ => return,
            };
            if let (Some(Json::Array(want)), Some(Json::Array(found))) =
                (want.get("data"), found.get_mut("data"))
            {
                for (want, found) in want.iter().zip(found) {
                    settle_one(want, found, single);
                }
            }
        }
        _ => {}
    }
}

fn settle_one(want: &Json, found: &mut Json, single: bool) {
    let (Some(one), Some(other)) = (real(want), real(found)) else {
        return;
    };
    let same = if single {
        let read = |text: &str| text.parse::<f32>().ok().map(f32::to_bits);
        read(&one) == read(&other)
    } else {
        let read = |text: &str| text.parse::<f64>().ok().map(f64::to_bits);
        read(&one) == read(&other)
    };
    if same {
        *found = want.clone();
    }
}

/// The text of a number with a point or an exponent.
fn real(value: &Json) -> Option<String> {
    let text = value.as_number()?.to_string();
    text.contains(['.', 'e', 'E']).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_is_told() {
        let want = json!({"a": 1, "b": {"c": [1, {"d": "x"}]}});
        let told = |found: Json| difference(&want, &found);
        assert_eq!(told(want.clone()), None);
        for (found, wanted) in [
            (
                json!({"a": 1}),
                "b is missing, the bytes say {\"c\":[1,{\"d\":\"x\"}]}",
            ),
            (
                json!({"a": 1, "b": {"c": [1, {"d": "\u{202e}\n"}]}}),
                "b.c[1].d is \"\\u{202e}\\n\", the bytes say \"x\"",
            ),
            (
                json!({"a": 1, "b": {"c": [1]}}),
                "b.c has 1 items, the bytes say 2",
            ),
            (
                json!({"a": 1, "b": {"c": [1, {"d": "x"}]}, "e\u{7}": null}),
                "e\\u{7} is null, there is no such field",
            ),
            (
                json!(1),
                " is 1, the bytes say {\"a\":1,\"b\":{\"c\":[1,{\"d\":\"x\"}]}}",
            ),
        ] {
            assert_eq!(told(found), Some(wanted.to_owned()));
        }
        assert!(shown(&json!("x".repeat(100))).ends_with("x…"));
    }

    #[test]
    fn digits_may_differ_where_the_number_does_not() {
        let read = |text: &str| snakepit_machine::json::read(text).unwrap();
        let settled = |want: &str, found: &str, single: bool| {
            let (want, mut found) = (read(want), read(found));
            settle_one(&want, &mut found, single);
            want == found
        };
        assert!(settled("1e+16", "10000000000000000.0", false));
        assert!(settled("0.1", "0.10000000000000000555", false));
        assert!(settled("0.1", "0.10000000149", true));
        assert!(!settled("0.1", "0.10000000149", false));
        assert!(!settled("0.0", "-0.0", false));
        assert!(!settled("1.0", "1", false));
        assert!(!settled("\"NaN\"", "1.0", false));
    }
}
