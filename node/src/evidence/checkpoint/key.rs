//! Keys, in the text forms of signed notes: `PRIVATE+KEY+name+id+secret` and `name+id+public`.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, Verifier as _};
use sha2::{Digest as _, Sha256};

/// What stands in front of a secret key.
const PRIVATE: &str = "PRIVATE+KEY+";
/// Says that a key is Ed25519.
const ED25519: u8 = 1;

/// A text is not a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It has another form.
    #[error("it is not a key of a signed note: {0}")]
    Malformed(&'static str),
    /// It cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The key that signs a cluster's checkpoints.
#[derive(Clone)]
pub struct SigningKey {
    name: String,
    key: ed25519_dalek::SigningKey,
}

/// What checks the signatures of a [`SigningKey`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    key: ed25519_dalek::VerifyingKey,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SigningKey")
            .field(&self.verifying().to_text())
            .finish()
    }
}

impl SigningKey {
    /// A new key, from the system's randomness. The name is without spaces and `+`.
    ///
    /// # Errors
    ///
    /// Where the name is not one.
    pub fn generate(name: &str) -> Result<Self, KeyError> {
        let secret: [u8; 32] = rand::random();
        Ok(Self {
            name: checked_name(name)?,
            key: ed25519_dalek::SigningKey::from_bytes(&secret),
        })
    }

    /// Read a key file.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::parse(fs::read_to_string(path)?.trim())
    }

    /// Write a new key file that only its owner may read (mode 0600); an existing one is never replaced.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        writeln!(file, "{}", self.to_text())?;
        Ok(file.sync_all()?)
    }

    /// The key of a text.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let rest = text
            .strip_prefix(PRIVATE)
            .ok_or(KeyError::Malformed("it does not begin with PRIVATE+KEY+"))?;
        let (name, id, secret) = parts(rest)?;
        let key = Self {
            name,
            key: ed25519_dalek::SigningKey::from_bytes(&secret),
        };
        check_id(key.verifying().id(), id)?;
        Ok(key)
    }

    /// What checks its signatures.
    pub fn verifying(&self) -> VerifyingKey {
        VerifyingKey {
            name: self.name.clone(),
            key: self.key.verifying_key(),
        }
    }

    /// Signature of a text.
    pub(super) fn sign(&self, text: &str) -> [u8; 64] {
        self.key.sign(text.as_bytes()).to_bytes()
    }

    fn to_text(&self) -> String {
        let id = self.verifying().id();
        format!("{PRIVATE}{}", joined(&self.name, id, self.key.as_bytes()))
    }
}

impl VerifyingKey {
    /// The key of a text, `name+id+public`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, id, public) = parts(text)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&public)
            .map_err(|_| KeyError::Malformed("it is no point of the curve"))?;
        let key = Self { name, key };
        check_id(key.id(), id)?;
        Ok(key)
    }

    /// The key as text.
    pub fn to_text(&self) -> String {
        joined(&self.name, self.id(), self.key.as_bytes())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Says which key a signature is of: the first bytes of SHA-256 over name, newline, kind and key.
    pub(super) fn id(&self) -> [u8; 4] {
        let mut hasher = Sha256::new();
        hasher.update(self.name.as_bytes());
        hasher.update([b'\n', ED25519]);
        hasher.update(self.key.as_bytes());
        let hash: [u8; 32] = hasher.finalize().into();
        [hash[0], hash[1], hash[2], hash[3]]
    }

    pub(super) fn verifies(&self, text: &str, signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.key.verify(text.as_bytes(), &signature).is_ok()
    }
}

fn joined(name: &str, id: [u8; 4], key: &[u8; 32]) -> String {
    let mut typed = vec![ED25519];
    typed.extend_from_slice(key);
    format!(
        "{name}+{:08x}+{}",
        u32::from_be_bytes(id),
        STANDARD.encode(typed)
    )
}

fn parts(text: &str) -> Result<(String, u32, [u8; 32]), KeyError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(KeyError::Malformed("it has not three parts"));
    };
    let id = (id.len() == 8)
        .then(|| u32::from_str_radix(id, 16).ok())
        .flatten()
        .ok_or(KeyError::Malformed("its id has not 8 hexadecimal digits"))?;
    let key = STANDARD
        .decode(key)
        .map_err(|_| KeyError::Malformed("it is not base64"))?;
    match key.split_first() {
        Some((&ED25519, key)) => {
            let key = key
                .try_into()
                .map_err(|_| KeyError::Malformed("it has not 32 bytes"))?;
            Ok((checked_name(name)?, id, key))
        }
        _ => Err(KeyError::Malformed("it is not an Ed25519 key")),
    }
}

fn check_id(found: [u8; 4], said: u32) -> Result<(), KeyError> {
    if u32::from_be_bytes(found) == said {
        Ok(())
    } else {
        Err(KeyError::Malformed(
            "its id is not that of its name and key",
        ))
    }
}

fn checked_name(name: &str) -> Result<String, KeyError> {
    if name.is_empty() || name.contains(|letter: char| letter == '+' || letter.is_whitespace()) {
        return Err(KeyError::Malformed("its name is empty, or has spaces or +"));
    }
    Ok(name.to_owned())
}
