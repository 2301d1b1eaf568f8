//! What a running call has read of variables, noted for its journal.

use std::sync::{Mutex, PoisonError};

use snakepit_machine::{CALL_READS_MAX, CallRead, CallReads};

/// The reads of one call; all its attempts share them.
#[derive(Debug, Default)]
pub struct Reads(Mutex<CallReads>);

impl Reads {
    /// Note that a version of a variable was given to the call. The first [`CALL_READS_MAX`] that differ are
    /// kept, all others counted.
    pub fn note(&self, session_id: &str, name: &str, version: u64) {
        let mut reads = self.lock();
        let is_it = |read: &CallRead| {
            read.version == version && read.name == name && read.session_id == session_id
        };
        if reads.noted.iter().any(is_it) {
            return;
        }
        if reads.noted.len() == CALL_READS_MAX {
            reads.left_out = reads.left_out.saturating_add(1);
            return;
        }
        reads.noted.push(CallRead {
            session_id: session_id.to_owned(),
            name: name.to_owned(),
            version,
        });
    }

    /// Add what another node noted.
    pub fn add(&self, more: CallReads) {
        for read in more.noted {
            self.note(&read.session_id, &read.name, read.version);
        }
        let mut reads = self.lock();
        reads.left_out = reads.left_out.saturating_add(more.left_out);
    }

    /// What was noted until now.
    pub fn told(&self) -> CallReads {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, CallReads> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_noted_once_and_in_order() {
        let reads = Reads::default();
        for (name, version) in [("x", 2), ("y", 1), ("x", 2), ("x", 3)] {
            reads.note("s", name, version);
        }
        reads.note("t", "x", 2);
        let told = reads.told();
        let noted: Vec<_> = told
            .noted
            .iter()
            .map(|read| format!("{}/{}@{}", read.session_id, read.name, read.version))
            .collect();
        assert_eq!(noted, ["s/x@2", "s/y@1", "s/x@3", "t/x@2"]);
        assert_eq!(told.left_out, 0);
    }

    #[test]
    fn what_is_beyond_the_limit_is_counted() {
        let (here, there) = (Reads::default(), Reads::default());
        let most = CALL_READS_MAX as u64;
        for version in 1..=most + 5 {
            there.note("s", "x", version);
        }
        there.note("s", "x", 1);
        assert_eq!(there.told().left_out, 5);
        here.note("s", "y", 1);
        here.add(there.told());
        let told = here.told();
        assert_eq!(told.noted.len(), CALL_READS_MAX);
        assert_eq!((told.noted[0].name.as_str(), told.left_out), ("y", 6));
    }
}
