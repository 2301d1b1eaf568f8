//! Whether the node is ready, and how that is told.

use std::fmt::Write as _;

/// One thing that must hold for the node to be ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name, one lower-case word or words joined by `-`.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// Why not, or what is worth knowing; may be empty.
    pub detail: String,
}

/// The node's own view of its readiness. Asked on every probe: answer from memory, without waiting.
pub trait ReadyChecks: Send + Sync + 'static {
    /// All checks, in an order that does not change.
    fn checks(&self) -> Vec<Check>;
}

/// Whether all hold, and the page: each check with + or -, after Kubernetes' `/readyz?verbose`.
pub(super) fn report(checks: &[Check]) -> (bool, String) {
    let ready = checks.iter().all(|check| check.ok);
    let mut page = String::new();
    for Check { name, ok, detail } in checks {
        let (sign, word) = if *ok { ('+', "ok") } else { ('-', "failed") };
        let _ = write!(page, "[{sign}]{name} {word}");
        if !detail.is_empty() {
            let _ = write!(page, ": {detail}");
        }
        page.push('\n');
    }
    page.push_str(if ready {
        "readyz check passed\n"
    } else {
        "readyz check failed\n"
    });
    (ready, page)
}
