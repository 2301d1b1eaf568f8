//! What is told of calls that were run again, or would be.

use serde_json::{Value as Json, json};

use super::super::super::arguments::human_ms;
use super::super::super::output::{Cell, Tone, text_or_none, time};
use super::compare::Compared;
use super::diff::{Difference, Differences};
use super::recorded::Recorded;
use super::went::Went;

/// Columns of [`row`].
pub(super) const HEADERS: [&str; 7] = [
    "call", "session", "tool", "version", "outcome", "result", "took",
];
/// Columns of [`plan_row`].
pub(super) const PLAN_HEADERS: [&str; 7] = [
    "call",
    "time",
    "session",
    "tool",
    "version",
    "pool",
    "runs again",
];

/// What became of one call.
pub(super) enum Became {
    /// It ran.
    Ran(Box<Compared>),
    /// It could not be run, and why.
    Not(String),
}

impl Became {
    pub(super) fn is_same(&self) -> bool {
        match self {
            Self::Ran(compared) => compared.is_same(),
            Self::Not(_) => false,
        }
    }
}

pub(super) fn row(call: &Recorded, became: &Became) -> Vec<Cell> {
    let (version, outcome, result, took) = match became {
        Became::Not(_) => (
            call.went.tool_version.clone(),
            call.went.outcome.clone(),
            Cell::toned("not run", Tone::Dim),
            took(&call.went),
        ),
        Became::Ran(compared) => {
            let now = &compared.now;
            let count = compared.differences.told.len() as u64 + compared.differences.left_out;
            let result = match count {
                0 if compared.is_same() => Cell::toned("same", Tone::Good),
                0 => Cell::toned("not compared", Tone::Dim),
                1 => Cell::toned("1 difference", Tone::Bad),
                count => Cell::toned(format!("{count} differences"), Tone::Bad),
            };
            (
                changed(&call.went.tool_version, &now.tool_version),
                changed(&call.went.outcome, &now.outcome),
                result,
                format!("{} → {}", took(&call.went), took(now)),
            )
        }
    };
    vec![
        Cell::text(&call.call_id),
        text_or_none(&call.session),
        Cell::text(&call.tool),
        text_or_none(&version),
        text_or_none(&outcome),
        result,
        Cell::text(took),
    ]
}

/// What a table has no room for, in lines; empty where there is nothing more to tell.
pub(super) fn lines(call: &Recorded, became: &Became) -> Vec<String> {
    let told = match became {
        Became::Not(reason) => vec![reason.clone()],
        Became::Ran(compared) => {
            let Differences { told, left_out } = &compared.differences;
            let more = (*left_out > 0).then(|| format!("{left_out} more differences"));
            let moved = (!told.is_empty() && !compared.moved.is_empty()).then(|| {
                format!(
                    "others wrote while it ran: it had read {}, its copy of the session begins before",
                    compared.moved.join(", ")
                )
            });
            let unknown = compared.unknown.iter().map(|text| (*text).to_owned());
            told.iter()
                .map(Difference::sentence)
                .chain(more)
                .chain(moved)
                .chain(unknown)
                .collect()
        }
    };
    if told.is_empty() {
        return told;
    }
    let indented = told.into_iter().map(|line| format!("  {line}"));
    std::iter::once(format!("{}:", call.call_id))
        .chain(indented)
        .collect()
}

pub(super) fn json(call: &Recorded, became: &Became) -> Json {
    let mut object = json!({
        "call": call.call_id,
        "session": call.session,
        "tool": call.tool,
        "time": time(call.time_ms),
        "time_ms": call.time_ms,
        "then": went_json(&call.went, &call.call_id),
        "same": became.is_same(),
    });
    match became {
        Became::Not(reason) => object["not_run"] = json!(reason),
        Became::Ran(compared) => {
            object["now"] = went_json(&compared.now, &compared.now.call_id);
            let differences = compared.differences.told.iter().map(Difference::json);
            object["differences"] = differences.collect();
            object["differences_left_out"] = json!(compared.differences.left_out);
            object["others_wrote"] = json!(compared.moved);
            object["not_compared"] = json!(compared.unknown);
        }
    }
    object
}

pub(super) fn plan_row(call: &Recorded) -> Vec<Cell> {
    let runs = match call.runnable() {
        Ok(_) => Cell::toned("yes", Tone::Good),
        Err(reason) => Cell::toned(format!("no: {reason}"), Tone::Dim),
    };
    vec![
        Cell::text(&call.call_id),
        Cell::text(time(call.time_ms)),
        text_or_none(&call.session),
        Cell::text(&call.tool),
        text_or_none(&call.went.tool_version),
        text_or_none(&call.went.pool),
        runs,
    ]
}

pub(super) fn plan_json(call: &Recorded) -> Json {
    let mut object = json!({
        "call": call.call_id,
        "session": call.session,
        "tool": call.tool,
        "time": time(call.time_ms),
        "time_ms": call.time_ms,
        "then": went_json(&call.went, &call.call_id),
    });
    if let Err(reason) = call.runnable() {
        object["not_run"] = json!(reason);
    }
    object
}

fn went_json(went: &Went, call_id: &str) -> Json {
    let written = went.written.iter().map(|(what, value)| match value {
        Some(value) => json!({ "what": what, "value": value }),
        None => json!({ "what": what, "deleted": true }),
    });
    let mut object = json!({
        "call": call_id,
        "tool_version": went.tool_version,
        "pool": went.pool,
        "worker": went.worker,
        "node": went.node,
        "outcome": went.outcome,
        "chunks": went.chunks,
        "written": written.collect::<Vec<_>>(),
        "duration_us": went.duration_us,
    });
    if !went.error_type.is_empty() || !went.error_message.is_empty() {
        object["error"] = json!({ "type": went.error_type, "message": went.error_message });
    }
    if let Some(result) = &went.result {
        object["result"] = result.clone();
    }
    object
}

fn changed(then: &str, now: &str) -> String {
    if then == now {
        return then.to_owned();
    }
    let told = |text: &str| if text.is_empty() { "-" } else { text }.to_owned();
    format!("{} → {}", told(then), told(now))
}

fn took(went: &Went) -> String {
    human_ms(went.duration_us.div_ceil(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(outcome: &str) -> Recorded {
        Recorded {
            call_id: "c".into(),
            tool: "t".into(),
            went: Went {
                outcome: outcome.into(),
                tool_version: "1".into(),
                result: Some(json!(1)),
                ..Went::default()
            },
            ..Recorded::default()
        }
    }

    #[test]
    fn what_is_the_same_needs_no_lines() {
        let call = call("ok");
        let mut compared = Compared::default();
        compared.finish(&call, call.went.clone());
        let became = Became::Ran(Box::new(compared));
        assert!(became.is_same() && lines(&call, &became).is_empty());
        assert_eq!(json(&call, &became)["same"], json!(true));
    }

    #[test]
    fn differences_are_told_with_what_may_explain_them() {
        let call = call("ok");
        let mut compared = Compared {
            moved: vec!["x@2".into()],
            ..Compared::default()
        };
        let now = Went {
            tool_version: "2".into(),
            result: Some(json!(2)),
            ..call.went.clone()
        };
        compared.finish(&call, now);
        let became = Became::Ran(Box::new(compared));
        let told = lines(&call, &became);
        assert_eq!(told[..2], ["c:", "  result: 1 → 2"]);
        assert!(told[2].contains("x@2"), "{told:?}");
        let told = json(&call, &became);
        assert_eq!(
            (&told["same"], &told["differences"][0]["path"]),
            (&json!(false), &json!("$"))
        );
        assert_eq!(changed("1", "2"), "1 → 2");
        assert_eq!(changed("", "2"), "- → 2");
    }

    #[test]
    fn a_call_that_did_not_run_is_not_the_same() {
        let call = call("ok");
        let reason = call.runnable().unwrap_err();
        assert!(reason.contains("; hint: "), "{reason}");
        let became = Became::Not(reason);
        assert!(!became.is_same());
        assert!(json(&call, &became)["not_run"].is_string());
        assert_eq!(lines(&call, &became).len(), 2);
    }
}
