//! What there is to tell of a call beside its value.

use snakepit_client::{CallAnswer, ToolError};

use super::super::output::{note, pairs};

/// Where it ran, and how.
pub(super) fn place(answer: &CallAnswer) -> String {
    let mut text = format!(
        "call {} ran {} ms on node {}, worker {}",
        answer.call_id, answer.execution_time_ms, answer.node_id, answer.worker_id
    );
    if !answer.pool.is_empty() {
        text += &format!(", pool {}", answer.pool);
    }
    if answer.attempts > 1 {
        text += &format!(", at attempt {}", answer.attempts);
    }
    if answer.recorded {
        text += "; this is the answer of an earlier call with the same idempotency key";
    }
    text
}

/// What the tool wrote.
pub(super) fn output(answer: &CallAnswer) {
    for written in [&answer.stdout, &answer.stderr] {
        let written = written.trim_end_matches('\n');
        if !written.is_empty() {
            note(written);
        }
    }
}

/// An exception, with its traceback, and what is known of it.
pub(super) fn exception(error: &ToolError) -> String {
    let mut text = format!(
        "error: the tool raised {}: {}",
        error.type_name, error.message
    );
    if !error.traceback.trim().is_empty() {
        text += "\n";
        text += error.traceback.trim_end();
    }
    if !error.kind.is_empty() {
        text += format!("\n{}: {}", error.kind, pairs(&error.details)).trim_end_matches([':', ' ']);
    }
    if !error.hint.is_empty() {
        text += &format!("\nhint: {}", error.hint);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_told_whole() {
        let mut error = ToolError {
            type_name: "ValueError".into(),
            message: "no".into(),
            traceback: "Traceback\n  line\n".into(),
            ..Default::default()
        };
        let told = exception(&error);
        assert_eq!(
            told,
            "error: the tool raised ValueError: no\nTraceback\n  line"
        );
        error.traceback.clear();
        error.kind = "out_of_memory".into();
        error.hint = "use smaller batches".into();
        let told = "error: the tool raised ValueError: no\nout_of_memory";
        assert_eq!(
            exception(&error),
            format!("{told}\nhint: use smaller batches")
        );
        error.details.insert("device".into(), "cuda:0".into());
        assert!(exception(&error).contains("out_of_memory: device=cuda:0\n"));
    }
}
