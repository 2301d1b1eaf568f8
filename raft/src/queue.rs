//! Commands on their way into the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use snakepit_machine::{Body, Command, Outcome};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::ProposeError;

/// Index of the entry, and an outcome for each command.
pub(crate) type GroupResult = Result<(u64, Vec<Outcome>), ProposeError>;

const WAITING: u8 = 0;
const SENT: u8 = 1;
const GIVEN_UP: u8 = 2;
const IN_DOUBT: u8 = 3;

/// Whether commands have left, decided once between the one who sends and the one who gives up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stage(Arc<AtomicU8>);

impl Stage {
    /// True where the commands may be sent: nobody has given them up.
    pub(crate) fn send(&self) -> bool {
        match self
            .0
            .compare_exchange(WAITING, SENT, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => true,
            Err(now) => now == SENT || now == IN_DOUBT,
        }
    }

    /// True where the commands were not done, and never will be.
    pub(crate) fn give_up(&self) -> bool {
        match self
            .0
            .compare_exchange(WAITING, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => true,
            Err(now) => now == GIVEN_UP,
        }
    }

    /// What was sent was definitely not done: it waits again, unless an earlier try left a doubt.
    pub(crate) fn come_back(&self) {
        let _ = self
            .0
            .compare_exchange(SENT, WAITING, Ordering::AcqRel, Ordering::Acquire);
    }

    /// What was sent may have been done, whatever becomes of further tries.
    pub(crate) fn doubt(&self) {
        let _ = self
            .0
            .compare_exchange(SENT, IN_DOUBT, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether an earlier try may have done what was sent.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.0.load(Ordering::Acquire) == IN_DOUBT
    }
}

/// Commands that stay together, and who waits for them.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) commands: Vec<Command>,
    pub(crate) bytes: usize,
    /// From another node: not to be forwarded again.
    pub(crate) forwarded: bool,
    pub(crate) stage: Stage,
    pub(crate) reply: Option<oneshot::Sender<GroupResult>>,
    /// Their share of the queue's bytes.
    pub(crate) _share: OwnedSemaphorePermit,
}

impl Group {
    /// Whether sending the commands a second time is harmless.
    pub(crate) fn repeatable(&self) -> bool {
        self.commands.iter().all(|command| {
            !command.origin.request_id.is_empty()
                || matches!(command.body, Body::TouchSession(_) | Body::ExpireSession(_))
        })
    }

    /// Whether nobody waits for an answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    pub(crate) fn answer(mut self, result: GroupResult) {
        self.reply(result);
    }

    fn reply(&mut self, result: GroupResult) {
        if let Some(reply) = self.reply.take() {
            // Nobody may be waiting any more.
            let _ = reply.send(result);
        }
    }
}

impl Drop for Group {
    /// What is dropped on its way, because the node stops, may have been done: another node that forwarded it
    /// must not take it for undone and send it again.
    fn drop(&mut self) {
        let unsent = self.stage.give_up();
        let unknown =
            || ProposeError::Unknown("the node stopped while the write was on its way".into());
        self.reply(Err(if unsent {
            ProposeError::Stopping
        } else {
            unknown()
        }));
    }
}
