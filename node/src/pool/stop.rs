//! The order to stop, with its deadline.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

/// Given once; the earliest deadline counts.
#[derive(Default)]
pub(super) struct Stop {
    token: CancellationToken,
    deadline: Mutex<Option<Instant>>,
}

impl Stop {
    pub(super) fn ask(&self, deadline: Instant) {
        {
            let mut known = self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
            *known = Some(known.map_or(deadline, |known| known.min(deadline)));
        }
        self.token.cancel();
    }

    pub(super) fn asked(&self) -> bool {
        self.token.is_cancelled()
    }

    pub(super) async fn cancelled(&self) {
        self.token.cancelled().await;
    }

    /// None where no order was given.
    pub(super) fn deadline(&self) -> Option<Instant> {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
