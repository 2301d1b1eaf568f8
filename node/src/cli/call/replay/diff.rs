//! Where two JSON values differ.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::super::super::output::cut;

/// Differences that are told of one call; more are counted.
pub(super) const DIFFERENCES_MAX: usize = 100;
/// A value of a difference in a sentence, in characters.
const VALUE_CHARS: usize = 60;

/// One place at which something is not what it was.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Difference {
    /// What: `outcome`, `error type`, `error message`, `result`, `chunk 3`, `variable x`, `program p`.
    pub(super) what: String,
    /// Where in it: `$` is all of it.
    pub(super) path: String,
    /// What it was; `None` where nothing was there.
    pub(super) then: Option<Json>,
    /// What it is.
    pub(super) now: Option<Json>,
}

impl Difference {
    /// One line.
    pub(super) fn sentence(&self) -> String {
        let told = |value: &Option<Json>| match value {
            None => "nothing".to_owned(),
            Some(value) => cut(&value.to_string(), VALUE_CHARS),
        };
        let place = match self.path.as_str() {
            "$" => String::new(),
            path => format!(" {path}"),
        };
        format!(
            "{}{place}: {} → {}",
            self.what,
            told(&self.then),
            told(&self.now)
        )
    }

    /// All of it; what was not there is left out.
    pub(super) fn json(&self) -> Json {
        let mut object = json!({ "what": self.what, "path": self.path });
        for (key, value) in [("then", &self.then), ("now", &self.now)] {
            if let Some(value) = value {
                object[key] = value.clone();
            }
        }
        object
    }
}

/// Differences as they are found, up to a number.
#[derive(Clone, Debug, Default)]
pub(super) struct Differences {
    pub(super) told: Vec<Difference>,
    /// How many more there are.
    pub(super) left_out: u64,
}

impl Differences {
    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Compare one thing, of which there may be nothing on either side.
    pub(super) fn compare(&mut self, what: &str, then: Option<&Json>, now: Option<&Json>) {
        let mut path = "$".to_owned();
        self.walk(what, &mut path, then, now);
    }

    /// Compare two things as wholes.
    pub(super) fn compare_whole(&mut self, what: &str, then: Option<&Json>, now: Option<&Json>) {
        if then != now {
            self.found(what, "$", then, now);
        }
    }

    /// Put others in front.
    pub(super) fn add_in_front(&mut self, mut others: Self) {
        others.left_out += self.left_out;
        for difference in self.told.drain(..) {
            if others.told.len() == DIFFERENCES_MAX {
                others.left_out += 1;
            } else {
                others.told.push(difference);
            }
        }
        *self = others;
    }

    fn walk(&mut self, what: &str, path: &mut String, then: Option<&Json>, now: Option<&Json>) {
        if then == now {
            return;
        }
        let length = path.len();
        match (then, now) {
            (Some(Json::Object(then)), Some(Json::Object(now))) => {
                let keys: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
                for key in keys {
                    push_key(path, key);
                    self.walk(what, path, then.get(key), now.get(key));
                    path.truncate(length);
                }
            }
            (Some(Json::Array(then)), Some(Json::Array(now))) => {
                for at in 0..then.len().max(now.len()) {
                    let _ = write!(path, "[{at}]");
                    self.walk(what, path, then.get(at), now.get(at));
                    path.truncate(length);
                }
            }
            _ => self.found(what, path, then, now),
        }
    }

    fn found(&mut self, what: &str, path: &str, then: Option<&Json>, now: Option<&Json>) {
        if self.told.len() == DIFFERENCES_MAX {
            self.left_out += 1;
            return;
        }
        self.told.push(Difference {
            what: what.to_owned(),
            path: path.to_owned(),
            then: then.cloned(),
            now: now.cloned(),
        });
    }
}

/// `.key` where that can be read, `["odd key"]` else.
fn push_key(path: &mut String, key: &str) {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let named = key
        .chars()
        .next()
        .is_some_and(|first| !first.is_ascii_digit())
        && key.chars().all(plain);
    if named {
        path.push('.');
        path.push_str(key);
    } else {
        let _ = write!(path, "[{}]", Json::from(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences(then: &Json, now: &Json) -> Vec<String> {
        let mut found = Differences::default();
        found.compare("result", Some(then), Some(now));
        found.told.iter().map(Difference::sentence).collect()
    }

    #[test]
    fn what_is_equal_has_no_differences() {
        let value = json!({"a": [1, 2.5, {"b": null}], "c": "x"});
        assert!(sentences(&value, &value.clone()).is_empty());
        let other_order: Json =
            serde_json::from_str(r#"{"c":"x","a":[1,2.5,{"b":null}]}"#).unwrap();
        assert!(sentences(&value, &other_order).is_empty());
    }

    #[test]
    fn the_places_are_named() {
        let then =
            json!({"score": 0.91, "tags": ["a", "b"], "at": {"odd key": 1, "2": 2}, "gone": null});
        let now =
            json!({"score": 0.93, "tags": ["a", "c", "d"], "at": {"odd key": 2, "2": 2}, "new": 1});
        assert_eq!(
            sentences(&then, &now),
            [
                "result $.at[\"odd key\"]: 1 → 2",
                "result $.gone: null → nothing",
                "result $.new: nothing → 1",
                "result $.score: 0.91 → 0.93",
                "result $.tags[1]: \"b\" → \"c\"",
                "result $.tags[2]: nothing → \"d\"",
            ]
        );
    }

    #[test]
    fn another_kind_of_value_is_one_difference() {
        assert_eq!(
            sentences(&json!([1, 2]), &json!({"a": 1})),
            ["result: [1,2] → {\"a\":1}"]
        );
        assert_eq!(sentences(&json!(1), &json!(1.0)), ["result: 1 → 1.0"]);
        let mut found = Differences::default();
        found.compare("variable x", None, Some(&json!(1)));
        found.compare("variable y", None, None);
        assert_eq!(found.told.len(), 1);
        assert_eq!(
            found.told[0].json(),
            json!({"what": "variable x", "path": "$", "now": 1})
        );
    }

    #[test]
    fn differences_beyond_the_limit_are_counted() {
        let then: Json = (0..DIFFERENCES_MAX + 7).collect();
        let now: Json = (1..=DIFFERENCES_MAX + 7).collect();
        let mut found = Differences::default();
        found.compare("result", Some(&then), Some(&now));
        assert_eq!((found.told.len(), found.left_out), (DIFFERENCES_MAX, 7));
    }
}
