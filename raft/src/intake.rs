//! The door of the queue: what waits is bounded by number and by bytes.

use std::sync::Arc;

use snakepit_machine::Command;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::ProposeError;
use crate::queue::{Group, GroupResult, Stage};

/// Takes commands; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    queue: mpsc::Sender<Group>,
    bytes: Arc<Semaphore>,
    bytes_max: usize,
}

impl Intake {
    pub(crate) fn new(queue: mpsc::Sender<Group>, bytes_max: usize) -> Self {
        Self {
            queue,
            bytes: Arc::new(Semaphore::new(bytes_max)),
            bytes_max,
        }
    }

    /// Queue commands that stay together. The stage tells, later, whether they have left.
    pub(crate) fn take(
        &self,
        commands: Vec<Command>,
        bytes: usize,
        forwarded: bool,
    ) -> Result<(oneshot::Receiver<GroupResult>, Stage), ProposeError> {
        let share = bytes.clamp(1, self.bytes_max);
        let share = u32::try_from(share).unwrap_or(u32::MAX);
        let Ok(share) = self.bytes.clone().try_acquire_many_owned(share) else {
            return Err(ProposeError::Exhausted(format!(
                "the writes that wait reach {} bytes, the limit propose_queue_bytes_max; hint: back off and retry",
                self.bytes_max
            )));
        };
        let (reply, waiting) = oneshot::channel();
        let stage = Stage::default();
        let group = Group {
            commands,
            bytes,
            forwarded,
            stage: stage.clone(),
            reply: Some(reply),
            _share: share,
        };
        match self.queue.try_send(group) {
            Ok(()) => Ok((waiting, stage)),
            Err(mpsc::error::TrySendError::Full(_)) => Err(ProposeError::Exhausted(format!(
                "{} writes wait, the limit propose_queue_max; hint: back off and retry",
                self.queue.max_capacity()
            ))),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(ProposeError::Stopping),
        }
    }
}
