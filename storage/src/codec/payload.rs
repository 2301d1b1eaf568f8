//! What a Raft log entry holds: as stored, and as sent to other nodes.

use bytes::Bytes;
use snakepit_machine::Proposal;

pub use super::frame::BODY_BYTES_MAX;
use super::frame::{self, Kind};
use crate::error::CodecError;
use crate::traits::{ApplyPayload, MembershipRecord};

const WHAT: &str = "entry payload";

/// The content of a log entry.
#[derive(Clone, Debug, PartialEq)]
pub enum EntryPayload {
    /// Nothing: a new leader's first entry.
    Blank,
    /// Commands.
    Proposal(Proposal),
    /// A membership.
    Membership(MembershipRecord),
}

/// Which content a payload has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadKind {
    /// Nothing.
    Blank,
    /// Commands.
    Proposal,
    /// A membership.
    Membership,
}

impl From<EntryPayload> for ApplyPayload {
    fn from(payload: EntryPayload) -> Self {
        match payload {
            EntryPayload::Blank => Self::Blank,
            EntryPayload::Proposal(proposal) => Self::Proposal(proposal),
            EntryPayload::Membership(membership) => Self::Membership(membership),
        }
    }
}

/// The bytes of a payload. Refused above [`BODY_BYTES_MAX`].
pub fn encode(payload: &EntryPayload) -> Result<Bytes, CodecError> {
    let bytes = match payload {
        EntryPayload::Blank => frame::seal(Kind::Blank, WHAT, &())?,
        EntryPayload::Proposal(proposal) => frame::seal(Kind::Proposal, WHAT, proposal)?,
        EntryPayload::Membership(membership) => frame::seal(Kind::Membership, WHAT, membership)?,
    };
    Ok(Bytes::from(bytes))
}

/// Which content the bytes have; nothing behind the header is looked at.
pub fn kind(bytes: &[u8]) -> Result<PayloadKind, CodecError> {
    known(frame::kind(WHAT, bytes)?)
}

/// Check version, kind, size and checksum without decoding the body.
pub fn check(bytes: &[u8]) -> Result<PayloadKind, CodecError> {
    known(frame::check(WHAT, bytes)?.0)
}

/// The payload of checked bytes.
pub fn decode(bytes: &[u8]) -> Result<EntryPayload, CodecError> {
    let (kind, body) = frame::check(WHAT, bytes)?;
    Ok(match known(kind)? {
        PayloadKind::Blank => {
            frame::body_of::<()>(WHAT, body)?;
            EntryPayload::Blank
        }
        PayloadKind::Proposal => EntryPayload::Proposal(frame::body_of(WHAT, body)?),
        PayloadKind::Membership => EntryPayload::Membership(frame::body_of(WHAT, body)?),
    })
}

fn known(kind: u8) -> Result<PayloadKind, CodecError> {
    match kind {
        kind if kind == Kind::Blank as u8 => Ok(PayloadKind::Blank),
        kind if kind == Kind::Proposal as u8 => Ok(PayloadKind::Proposal),
        kind if kind == Kind::Membership as u8 => Ok(PayloadKind::Membership),
        other => Err(CodecError::damaged(
            WHAT,
            format!("kind {other} is not one of an entry"),
        )),
    }
}
