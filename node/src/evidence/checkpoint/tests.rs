use super::*;

/// The key and the note of Go's golang.org/x/mod/sumdb/note documentation.
const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

fn checkpoint() -> Checkpoint {
    Checkpoint {
        origin: origin("c-1"),
        size: 70_000,
        root: [7; 32],
    }
}

#[test]
fn keys_have_the_text_of_signed_notes() {
    let key = VerifyingKey::parse(GO_KEY).unwrap();
    assert_eq!(
        (key.name(), key.id()),
        ("PeterNeumann", [0xc7, 0x4f, 0x20, 0xa3])
    );
    assert_eq!(key.to_text(), GO_KEY);
    for wrong in [
        "",
        "a+b",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+AhpC",
        "PeterNeumann+c74f20a3+!",
    ] {
        assert!(VerifyingKey::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn key_files_are_for_their_owner_and_stay() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let key = SigningKey::generate("snakepit/c-1").unwrap();
    key.save(&path).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        SigningKey::load(&path).unwrap().verifying(),
        key.verifying()
    );
    assert!(key.save(&path).is_err());
    assert!(SigningKey::generate("a b").is_err());
    assert!(!format!("{key:?}").contains("PRIVATE"));
}

#[test]
fn a_signed_checkpoint_is_what_the_standard_says() {
    let key = SigningKey::generate("snakepit/c-1").unwrap();
    let note = checkpoint().sign(&key);
    let lines: Vec<_> = note.split('\n').collect();
    let root = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    assert_eq!(lines[..4], ["snakepit/c-1", "70000", root, ""]);
    assert!(lines[4].starts_with("\u{2014} snakepit/c-1 "));
    assert_eq!(Checkpoint::open(&note, &key.verifying()), Ok(checkpoint()));
    // Signatures of others may be there too.
    let other = SigningKey::generate("witness").unwrap();
    let line = checkpoint().sign(&other);
    let both = format!("{note}{}", line.split_once("\n\n").unwrap().1);
    assert_eq!(Checkpoint::open(&both, &key.verifying()), Ok(checkpoint()));
    assert_eq!(
        Checkpoint::open(&both, &other.verifying()),
        Ok(checkpoint())
    );
    assert_eq!(
        Checkpoint::open(&note, &other.verifying()),
        Err(NoteError::Unsigned)
    );
    assert_eq!(Checkpoint::read(&both), Ok(checkpoint()));
    let more = note.replacen("\n\n", "\nmore\n\n", 1);
    for wrong in ["", "\n\n", "a\n1\n\n\u{2014} k AAAAAAA=\n", &more] {
        assert!(matches!(
            Checkpoint::read(wrong),
            Err(NoteError::Malformed(_))
        ));
    }
}

#[test]
fn whatever_is_changed_is_seen() {
    let key = SigningKey::generate("k").unwrap();
    let note = checkpoint().sign(&key);
    for at in 0..note.len() {
        for bit in 0..8 {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            // Unused bits at a base64 text's end are refused too.
            assert!(
                Checkpoint::open(&changed, &key.verifying()).is_err(),
                "{changed}"
            );
        }
    }
    for end in 0..note.len() {
        let Some(cut) = note.get(..end) else { continue };
        assert!(Checkpoint::open(cut, &key.verifying()).is_err(), "{cut}");
    }
}
