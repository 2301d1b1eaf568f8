//! A checkpoint and the note around it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use snakepit_storage::tree::Hash;

use super::{SigningKey, VerifyingKey};

/// Between text and signatures.
const SEPARATOR: &str = "\n\n";
/// In front of a signature.
const SIGNED_BY: &str = "\u{2014} ";

/// A log at one moment: the Merkle tree of its first events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Events in the tree.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// A note is not a checkpoint, or is not signed as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It has another form.
    #[error("it is not a signed checkpoint: {0}")]
    Malformed(&'static str),
    /// The key has not signed it.
    #[error("it is not signed by this key")]
    Unsigned,
    /// The signature of the key is not one of this text.
    #[error("its signature does not fit: it was changed, or forged")]
    Forged,
}

impl Checkpoint {
    /// The signed note.
    pub fn sign(&self, key: &SigningKey) -> String {
        let text = self.to_text();
        let verifying = key.verifying();
        let mut signature = verifying.id().to_vec();
        signature.extend_from_slice(&key.sign(&text));
        format!(
            "{text}\n{SIGNED_BY}{} {}\n",
            verifying.name(),
            STANDARD.encode(signature)
        )
    }

    /// The checkpoint of a note that a key has signed; signatures of others are passed over.
    pub fn open(note: &str, key: &VerifyingKey) -> Result<Self, NoteError> {
        Self::opened(note, Some(key))
    }

    /// The checkpoint of a note, whoever has signed it: what it says is worth no more than where it is from.
    pub fn read(note: &str) -> Result<Self, NoteError> {
        Self::opened(note, None)
    }

    fn opened(note: &str, key: Option<&VerifyingKey>) -> Result<Self, NoteError> {
        let (text, signatures) = note
            .split_once(SEPARATOR)
            .ok_or(NoteError::Malformed("it has no signatures"))?;
        let text = format!("{text}\n");
        let mut lines = signatures.split_terminator('\n').peekable();
        if !signatures.ends_with('\n') || lines.peek().is_none() {
            return Err(NoteError::Malformed(
                "it does not end with a line of a signature",
            ));
        }
        let mut signed = key.is_none();
        for line in lines {
            let (name, signature) = line
                .strip_prefix(SIGNED_BY)
                .and_then(|line| line.split_once(' '))
                .ok_or(NoteError::Malformed(
                    "a line below the text is no signature",
                ))?;
            let signature = STANDARD
                .decode(signature)
                .map_err(|_| NoteError::Malformed("a signature is not base64"))?;
            let Some((id, signature)) = signature.split_first_chunk::<4>() else {
                return Err(NoteError::Malformed("a signature is too short"));
            };
            let Some(key) = key.filter(|key| name == key.name() && *id == key.id()) else {
                continue;
            };
            let signature = signature.try_into().map_err(|_| NoteError::Forged)?;
            if !key.verifies(&text, signature) {
                return Err(NoteError::Forged);
            }
            signed = true;
        }
        if !signed {
            return Err(NoteError::Unsigned);
        }
        Self::parse(&text)
    }

    fn to_text(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            STANDARD.encode(self.root)
        )
    }

    fn parse(text: &str) -> Result<Self, NoteError> {
        let lines: Vec<_> = text.split_terminator('\n').collect();
        let [origin, size, root] = lines[..] else {
            return Err(NoteError::Malformed("it has not three lines"));
        };
        let decimal = size.bytes().all(|digit| digit.is_ascii_digit())
            && (size == "0" || !size.starts_with('0'));
        let size = decimal.then(|| size.parse().ok()).flatten();
        let root = STANDARD
            .decode(root)
            .ok()
            .and_then(|root| root.try_into().ok());
        match (origin, size, root) {
            ("", _, _) => Err(NoteError::Malformed("it names no log")),
            (_, None, _) => Err(NoteError::Malformed("its size is no number")),
            (_, _, None) => Err(NoteError::Malformed("its root is no hash")),
            (origin, Some(size), Some(root)) => Ok(Self {
                origin: origin.to_owned(),
                size,
                root,
            }),
        }
    }
}
