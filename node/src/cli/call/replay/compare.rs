//! A call then and now.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::diff::Differences;
use super::recorded::Recorded;
use super::went::Went;

/// What came out of a call that was run again.
#[derive(Clone, Debug, Default)]
pub(super) struct Compared {
    pub(super) now: Went,
    pub(super) differences: Differences,
    /// Variables that the call had read at a version that its copy of the session did not have.
    pub(super) moved: Vec<String>,
    /// What cannot be compared, in sentences.
    pub(super) unknown: Vec<&'static str>,
}

impl Compared {
    /// Compare a chunk, while the call still runs.
    pub(super) fn chunk(&mut self, number: u64, then: Option<&Json>, now: Option<&Json>) {
        self.differences
            .compare(&format!("chunk {number}"), then, now);
    }

    /// Compare all else.
    pub(super) fn finish(&mut self, call: &Recorded, now: Went) {
        let then = &call.went;
        let mut found = Differences::default();
        words(&mut found, "outcome", &then.outcome, &now.outcome);
        // A call without an answer tells its error in words that name places and times.
        let answered = |went: &Went| matches!(went.outcome.as_str(), "ok" | "raised");
        if answered(then) && answered(&now) {
            if call.streams() {
                // Today's end of a stream has a message only.
                words(
                    &mut found,
                    "error message",
                    &then.error_message,
                    &now.error_message,
                );
            } else if call.result_left_out {
                self.unknown
                    .push("what it gave then was too large for the log");
            } else {
                words(&mut found, "error type", &then.error_type, &now.error_type);
                words(
                    &mut found,
                    "error message",
                    &then.error_message,
                    &now.error_message,
                );
                if then.result.is_some() && now.result.is_some() {
                    words(
                        &mut found,
                        "type of the result",
                        &then.result_type,
                        &now.result_type,
                    );
                }
                found.compare("result", then.result.as_ref(), now.result.as_ref());
            }
        } else if then.outcome != now.outcome {
            words(
                &mut found,
                "error message",
                &then.error_message,
                &now.error_message,
            );
        }
        let names: BTreeSet<&String> = then.written.keys().chain(now.written.keys()).collect();
        for what in names {
            let told = |went: &Went| {
                went.written.get(what).map(|value| match value {
                    Some(value) => json!({ "value": value }),
                    None => json!({ "deleted": true }),
                })
            };
            match (then.written.get(what), now.written.get(what)) {
                (Some(Some(before)), Some(Some(after))) => {
                    found.compare(what, Some(before), Some(after));
                }
                _ => {
                    let (before, after) = (told(then), told(&now));
                    let what = format!("written {what}");
                    found.compare_whole(&what, before.as_ref(), after.as_ref());
                }
            }
        }
        self.differences.add_in_front(found);
        self.now = now;
    }

    /// Whether all went as before, as far as that can be known.
    pub(super) fn is_same(&self) -> bool {
        self.differences.is_empty() && self.unknown.is_empty()
    }
}

/// Compare texts, of which an empty one is none.
fn words(found: &mut Differences, what: &str, then: &str, now: &str) {
    let text = |text: &str| Some(Json::from(text)).filter(|_| !text.is_empty());
    found.compare(what, text(then).as_ref(), text(now).as_ref());
}

#[cfg(test)]
mod tests {
    use super::super::diff::Difference;
    use super::*;

    fn went(result: Json) -> Went {
        Went {
            outcome: "ok".into(),
            result: Some(result),
            result_type: "integer".into(),
            ..Went::default()
        }
    }

    fn sentences(call: &Recorded, now: Went) -> Vec<String> {
        let mut compared = Compared::default();
        compared.finish(call, now);
        assert_eq!(compared.is_same(), compared.differences.told.is_empty());
        let told = compared.differences.told.iter();
        told.map(Difference::sentence).collect()
    }

    #[test]
    fn what_went_as_before_is_the_same_whoever_ran_it() {
        let mut then = went(json!(1));
        then.written.insert("variable x".into(), Some(json!([1])));
        then.written.insert("program p".into(), None);
        let now = Went {
            worker: "another".into(),
            duration_us: 7,
            tool_version: "2".into(),
            ..then.clone()
        };
        let call = Recorded {
            went: then,
            ..Recorded::default()
        };
        assert!(sentences(&call, now).is_empty());
    }

    #[test]
    fn results_errors_and_writes_are_told() {
        let mut then = went(json!({"score": 0.91}));
        then.written
            .insert("variable x".into(), Some(json!({"a": 1})));
        then.written.insert("variable y".into(), Some(json!(1)));
        then.written.insert("variable z".into(), Some(json!(1)));
        let call = Recorded {
            went: then,
            ..Recorded::default()
        };
        let mut now = went(json!({"score": 0.93}));
        now.written
            .insert("variable x".into(), Some(json!({"a": 2})));
        now.written.insert("variable y".into(), None);
        now.written.insert("variable w".into(), Some(json!(3)));
        assert_eq!(
            sentences(&call, now),
            [
                "result $.score: 0.91 → 0.93",
                "written variable w: nothing → {\"value\":3}",
                "variable x $.a: 1 → 2",
                "written variable y: {\"value\":1} → {\"deleted\":true}",
                "written variable z: {\"value\":1} → nothing",
            ]
        );
        let raised = Went {
            outcome: "raised".into(),
            error_type: "ValueError".into(),
            error_message: "no".into(),
            ..Went::default()
        };
        let call = Recorded {
            went: went(json!(1)),
            ..Recorded::default()
        };
        assert_eq!(
            sentences(&call, raised),
            [
                "outcome: \"ok\" → \"raised\"",
                "error type: nothing → \"ValueError\"",
                "error message: nothing → \"no\"",
                "result: 1 → nothing",
            ]
        );
    }

    #[test]
    fn what_the_log_could_not_take_is_not_compared() {
        let call = Recorded {
            went: Went {
                result: None,
                ..went(json!(1))
            },
            result_left_out: true,
            ..Recorded::default()
        };
        let mut compared = Compared::default();
        compared.finish(&call, went(json!(2)));
        assert!(compared.differences.is_empty());
        assert_eq!(compared.unknown.len(), 1);
        assert!(!compared.is_same(), "nobody knows");
    }
}
