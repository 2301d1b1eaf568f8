//! The few records of the `meta` columns.

use serde::{Deserialize, Serialize};

use super::frame::{self, Kind};
use super::stored_event::chain;
use crate::error::CodecError;
use crate::traits::{EntryId, MembershipRecord, VoteRecord};
use crate::tree::{Frontier, Hash, Place, leaf_hash};

/// The format of a whole RocksDB instance: which columns it has and what is in them. One byte.
pub(crate) const FORMAT: u8 = 5;

/// Key of [`FORMAT`].
pub(crate) const FORMAT_KEY: &[u8] = b"format";
/// Key of the vote.
pub(crate) const VOTE_KEY: &[u8] = b"vote";
/// Key of the commit mark.
pub(crate) const COMMITTED_KEY: &[u8] = b"committed";
/// Key of the purge mark.
pub(crate) const PURGED_KEY: &[u8] = b"purged";
/// Key of the last applied entry and the membership.
pub(crate) const APPLIED_KEY: &[u8] = b"applied";
/// Key of the chain.
pub(crate) const CHAIN_KEY: &[u8] = b"chain";
/// Key of the cluster's row.
pub(crate) const HEAD_KEY: &[u8] = b"head";

/// How far the state has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppliedMeta {
    pub last: Option<EntryId>,
    pub membership_id: Option<EntryId>,
    pub membership: MembershipRecord,
}

/// The last event, and the tree of all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChainMeta {
    pub position: u64,
    pub hash: [u8; 32],
    pub tree: Frontier,
}

impl ChainMeta {
    /// What the next event's hash is.
    pub(crate) fn next_hash(&self, bytes: &[u8]) -> [u8; 32] {
        chain(&self.hash, bytes)
    }

    /// Add the next event, whose hash is [`Self::next_hash`].
    pub(crate) fn push(&mut self, bytes: &[u8], hash: [u8; 32], told: impl FnMut(Place, &Hash)) {
        self.position += 1;
        self.hash = hash;
        self.tree.push(leaf_hash(bytes), told);
    }
}

/// Refuse an instance of another format.
pub(crate) fn check_format(what: &str, found: &[u8]) -> Result<(), CodecError> {
    match found {
        [FORMAT] => Ok(()),
        [found] => Err(CodecError::UnknownVersion {
            what: what.into(),
            found: *found,
            known: FORMAT,
        }),
        other => Err(CodecError::damaged(
            what,
            format!("its format record has {} bytes", other.len()),
        )),
    }
}

macro_rules! record {
    ($seal:ident, $open:ident, $kind:ident, $type:ty, $what:literal) => {
        pub(crate) fn $seal(value: &$type) -> Result<Vec<u8>, CodecError> {
            frame::seal(Kind::$kind, $what, value)
        }
        pub(crate) fn $open(bytes: &[u8]) -> Result<$type, CodecError> {
            frame::open(Kind::$kind, $what, bytes)
        }
    };
}

record!(seal_vote, open_vote, Vote, VoteRecord, "vote");
record!(seal_mark, open_mark, Mark, Option<EntryId>, "mark");
record!(
    seal_applied,
    open_applied,
    Applied,
    AppliedMeta,
    "applied state"
);
record!(seal_chain, open_chain, Chain, ChainMeta, "chain head");
