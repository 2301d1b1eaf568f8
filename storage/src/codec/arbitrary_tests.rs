//! No bytes make a decoder panic, and no changed byte goes unseen.

use proptest::prelude::*;

use super::golden_tests::{membership, outcomes, proposal, rows};
use super::payload::{EntryPayload, PayloadKind};
use super::*;
use crate::CodecError;
use crate::traits::{EntryId, LogEntry};

fn decode_all(bytes: &[u8]) {
    let _ = payload::kind(bytes);
    let _ = payload::check(bytes);
    let _ = payload::decode(bytes);
    let _ = command::decode(bytes);
    let _ = outcome::decode(bytes);
    let _ = row::decode(bytes);
    let _ = log_entry::decode(7, bytes);
    let _ = stored_event::decode(7, bytes);
    let _ = meta::open_vote(bytes);
    let _ = meta::open_mark(bytes);
    let _ = meta::open_applied(bytes);
    let _ = meta::open_chain(bytes);
    let _ = meta::check_format("x", bytes);
    let _ = crate::SnapshotManifest::decode(bytes);
}

/// A body with a good header in front, so that the body is looked at.
fn sealed(kind: u8, body: &[u8]) -> Vec<u8> {
    let sum = crc32c::crc32c_append(crc32c::crc32c(&[frame::VERSION, kind]), body);
    let mut bytes = vec![frame::VERSION, kind];
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
        decode_all(&bytes);
    }

    #[test]
    fn arbitrary_bodies_do_not_panic(kind in 0u8..60, body: Vec<u8>) {
        decode_all(&sealed(kind, &body));
    }

    #[test]
    fn a_changed_byte_is_seen(at: prop::sample::Index, change in 1u8..) {
        let payload = payload::encode(&EntryPayload::Proposal(proposal())).unwrap();
        let entry = LogEntry { id: EntryId { term: 3, index: 17 }, payload };
        let mut bytes = log_entry::encode(&entry);
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        let error = log_entry::decode(17, &bytes).unwrap_err();
        prop_assert!(error.to_string().contains("entry 17"), "{}", error);
        for (_, row) in rows() {
            let mut bytes = row::encode(&row).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= change;
            prop_assert!(row::decode(&bytes).is_err());
        }
    }

    #[test]
    fn a_cut_is_seen(length: prop::sample::Index) {
        let bytes = payload::encode(&EntryPayload::Membership(membership())).unwrap();
        let cut = &bytes[..length.index(bytes.len())];
        prop_assert!(payload::decode(cut).is_err());
        for (_, outcome) in outcomes() {
            let bytes = outcome::encode(&outcome).unwrap();
            prop_assert!(outcome::decode(&bytes[..length.index(bytes.len())]).is_err());
        }
    }
}

#[test]
fn one_format_is_not_taken_for_another() {
    let bytes = payload::encode(&EntryPayload::Blank).unwrap();
    assert_eq!(payload::kind(&bytes).unwrap(), PayloadKind::Blank);
    assert!(row::decode(&bytes).is_err());
    let (_, row) = rows().remove(0);
    assert!(payload::check(&row::encode(&row).unwrap()).is_err());
}

#[test]
fn an_entry_at_another_index_is_seen() {
    let payload = payload::encode(&EntryPayload::Blank).unwrap();
    let entry = LogEntry {
        id: EntryId { term: 3, index: 17 },
        payload,
    };
    assert!(log_entry::decode(18, &log_entry::encode(&entry)).is_err());
}

#[test]
fn an_unknown_version_is_refused_with_the_remedy() {
    let mut bytes = payload::encode(&EntryPayload::Blank).unwrap().to_vec();
    // The form before, whose calls had no reads, and one to come.
    for version in [frame::VERSION - 1, 9] {
        bytes[0] = version;
        let error = payload::decode(&bytes).unwrap_err();
        assert!(
            matches!(error, CodecError::UnknownVersion { found, known: 4, .. } if found == version)
        );
        assert!(
            error
                .to_string()
                .contains("hint: run the release that wrote it")
        );
        let error = std::io::Error::from(error);
        assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
    }
}
