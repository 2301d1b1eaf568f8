//! One key, and what it does: XChaCha20-Poly1305, with a random nonce of 24 bytes in front of what it encrypts.

use std::fmt;
use std::str::FromStr;

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use rand::RngCore as _;
use sha2::{Digest as _, Sha256};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const ID_BYTES: usize = 16;

/// Names a key without telling it: the first 16 bytes of its SHA-256, hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

impl KeyId {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 2 * ID_BYTES && text.bytes().all(hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text:?} is not the id of a key"))
        }
    }
}

/// What was encrypted cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it was not encrypted with this key, for this place, or it was changed")]
pub struct OpenError;

/// A key. Its bytes are overwritten when it is dropped.
pub struct Key {
    id: KeyId,
    bytes: [u8; KEY_BYTES],
    cipher: XChaCha20Poly1305,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.bytes);
    }
}

impl Key {
    /// A new one.
    pub fn generate() -> Self {
        let mut bytes = [0; KEY_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        Self::of(bytes)
    }

    /// The one of these bytes; `None` where they are not 32.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::of)
    }

    fn of(bytes: [u8; KEY_BYTES]) -> Self {
        let digest = Sha256::digest(bytes);
        let id = digest[..ID_BYTES]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            id: KeyId(id),
            cipher: XChaCha20Poly1305::new(&bytes.into()),
            bytes,
        }
    }

    /// Its name.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A digest that tells nothing to who has not the key; empty where what is given is.
    pub fn digest(&self, bytes: &[u8]) -> Vec<u8> {
        if bytes.is_empty() {
            return Vec::new();
        }
        blake3::keyed_hash(&self.bytes, bytes).as_bytes().to_vec()
    }

    /// Encrypt, for one place: it cannot be opened as another's.
    pub fn seal(&self, place: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        rand::rng().fill_bytes(&mut nonce);
        let payload = Payload {
            msg: plain,
            aad: place,
        };
        let mut sealed = nonce.to_vec();
        // The cipher refuses what has 256 GiB and more only.
        sealed.extend(
            self.cipher
                .encrypt(XNonce::from_slice(&nonce), payload)
                .unwrap_or_default(),
        );
        sealed
    }

    /// What [`Self::seal`] encrypted for the same place.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_BYTES).ok_or(OpenError)?;
        let payload = Payload {
            msg: rest,
            aad: place,
        };
        self.cipher
            .decrypt(XNonce::from_slice(nonce), payload)
            .map_err(|_| OpenError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let key = Key::generate();
        let sealed = key.seal(b"a", b"secret");
        assert_eq!(key.open(b"a", &sealed), Ok(b"secret".to_vec()));
        assert_eq!(key.open(b"b", &sealed), Err(OpenError));
        assert_eq!(Key::generate().open(b"a", &sealed), Err(OpenError));
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(key.open(b"a", &changed), Err(OpenError));
            assert_eq!(key.open(b"a", &sealed[..place]), Err(OpenError));
        }
        assert_ne!(key.seal(b"a", b"secret"), sealed);
        assert!(!format!("{key:?}").contains(&format!("{:?}", key.bytes())));
    }

    #[test]
    fn a_key_is_known_by_its_id() {
        let key = Key::generate();
        let again = Key::from_bytes(key.bytes()).unwrap();
        assert_eq!(again.id(), key.id());
        assert_eq!(key.id().to_string().parse(), Ok(key.id().clone()));
        assert!(Key::from_bytes(&[0; 31]).is_none());
        for wrong in ["", "../x", &"A".repeat(32), &"a".repeat(31)] {
            assert!(wrong.parse::<KeyId>().is_err(), "{wrong}");
        }
    }
}
