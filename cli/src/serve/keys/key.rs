//! The text of an API key, the hash that is kept of it, and what a key allows.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::failure::Failure;

/// How every key begins, so that people and scanners of repositories recognise one.
const PREFIX: &str = "ckr_";

/// What a caller may do. Each of them includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Rights {
    /// Ask who a visitor is
    Read,
    /// Change, sign in and sign out the visitor whose cookie is presented
    App,
    /// See and end the sessions of all users
    Admin,
}

impl Rights {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Rights::Read => "read",
            Rights::App => "app",
            Rights::Admin => "admin",
        }
    }
}

/// A new API key. It is shown once and has no `Debug`.
pub(crate) struct ApiKey(String);

impl ApiKey {
    /// Makes a key of 256 random bits.
    ///
    /// # Errors
    /// Returns an error if the operating system has no random bytes.
    pub(crate) fn random() -> Result<ApiKey, Failure> {
        Ok(ApiKey(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random_bytes()?))))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    pub(crate) fn hash(&self) -> KeyHash {
        KeyHash::of(self.0.as_bytes())
    }
}

/// The SHA-256 of a key's whole text, as `sha256sum` prints it. A key has 256 random bits, so a slow hash would add nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyHash([u8; 32]);

impl KeyHash {
    pub(crate) fn of(key: &[u8]) -> KeyHash {
        KeyHash(Sha256::digest(key).into())
    }

    /// Reads 64 hexadecimal digits.
    pub(crate) fn parse(hex: &str) -> Option<KeyHash> {
        let mut hash = [0; 32];
        if hex.len() != 64 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, place) in hash.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&hex[place..place + 2], 16).ok()?;
        }
        Some(KeyHash(hash))
    }

    pub(crate) fn hex(self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// Compares in constant time.
    pub(crate) fn matches(&self, other: &KeyHash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// Returns 32 bytes of the operating system's generator.
///
/// # Errors
/// Returns an error if it has none.
pub(crate) fn random_bytes() -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::failed(format!("the operating system has no random bytes: {error}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_recognised_by_its_hash_and_its_prefix() {
        let (key, other) = (ApiKey::random().expect("random"), ApiKey::random().expect("random"));
        assert!(key.expose().starts_with("ckr_") && key.expose().len() == 47, "{}", key.expose().len());
        let kept = KeyHash::parse(&key.hash().hex()).expect("64 digits");
        assert!(kept.matches(&KeyHash::of(key.expose().as_bytes())));
        assert!(!kept.matches(&other.hash()));
        assert_eq!(KeyHash::of(b"abc").hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        for wrong in ["", "00", &"+1".repeat(32), &"é".repeat(32), &"g0".repeat(32)] {
            assert_eq!(KeyHash::parse(wrong), None, "{wrong}");
        }
    }
}
