//! How a record of tower-sessions is stored: each key as one field, with its value as JSON.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom::store::{Credentials, FieldChanges, Fields, Loaded, SecretHash, reserved_fields};
use cloakroom::{MAX_NAME_BYTES, SessionId, TokenFormat};
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_core::session_store::{Error, Result};

/// The field with the date of expiry, to the nanosecond. When a session is made, a random text stands behind it.
const EXPIRY: &str = "expiry_date";

/// Stands before a key that could not be the name of a field otherwise.
const ESCAPE: &str = "key:";

/// Returns what opens the session with this id in a store. The id is the token that the browser has, so the store gets only
/// what is computed from it: whoever can read the store can take over no session.
pub(crate) fn credentials(id: &Id) -> Credentials {
    let hash = |purpose: &str| Sha256::new().chain_update(purpose).chain_update(id.0.to_le_bytes()).finalize();
    let public = URL_SAFE_NO_PAD.encode(&hash("cloakroom-tower-sessions id")[..16]);
    let secret = URL_SAFE_NO_PAD.encode(hash("cloakroom-tower-sessions secret"));
    Credentials { id: SessionId::parse(&public).expect("16 bytes are an id"), secret_hash: SecretHash::parse(&secret) }
}

/// A record, as it is stored.
pub(crate) struct Stored {
    /// The keys of the application, and the date of expiry.
    pub(crate) fields: Fields,
}

impl Stored {
    /// # Errors
    /// Returns an error if a key is too long to be stored.
    pub(crate) fn new(record: &Record) -> Result<Stored> {
        let mut fields = Fields::new();
        for (key, value) in &record.data {
            fields.insert(name_of(key)?, value.to_string());
        }
        let expiry = record.expiry_date.format(&Rfc3339).map_err(|error| Error::Encode(error.to_string()))?;
        fields.insert(EXPIRY, expiry);
        Ok(Stored { fields })
    }

    /// Returns the fields of a session that is made now, which are like those of no other one.
    pub(crate) fn fields_of_creation(&self) -> Fields {
        let mut fields = self.fields.clone();
        fields.insert(EXPIRY, format!("{} {}", &self.fields[EXPIRY], Id::default()));
        fields
    }

    /// Returns true if these changes give the session another date of expiry.
    pub(crate) fn moves_expiry(&self, changes: &FieldChanges) -> bool {
        changes.set.contains_key(EXPIRY)
    }
}

/// Returns the record that is stored.
///
/// # Errors
/// Returns an error if this session was not stored by tower-sessions.
pub(crate) fn record(id: Id, loaded: &Loaded) -> Result<Record> {
    let fields = &loaded.record.fields;
    let expiry = fields.get(EXPIRY).and_then(|text| text.split(' ').next());
    let expiry_date = expiry.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    let expiry_date = expiry_date.ok_or_else(|| Error::Decode(format!("the field `{EXPIRY}` is not readable")))?;
    let of_application = fields.iter().filter(|(name, _)| *name != EXPIRY);
    let data: HashMap<_, _> = of_application.map(|(name, text)| (key_of(name).to_owned(), value(text))).collect();
    Ok(Record { id, data, expiry_date })
}

/// Reads a value. What is not JSON was written by another program and is a text.
fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn name_of(key: &str) -> Result<String> {
    let is_taken = key.is_empty() || key == EXPIRY || reserved_fields(TokenFormat::Secret).contains(&key);
    let name = if is_taken || key.starts_with(ESCAPE) { format!("{ESCAPE}{key}") } else { key.to_owned() };
    if name.len() > MAX_NAME_BYTES {
        return Err(Error::Encode(format!("a key has at most {MAX_NAME_BYTES} bytes, but `{key}` has {}", key.len())));
    }
    Ok(name)
}

fn key_of(name: &str) -> &str {
    name.strip_prefix(ESCAPE).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_name_of_its_own_and_comes_back() {
        for key in ["", "cart", "user_id", "expiry_date", "key:", "key:user_id", "key:key:a", "Ada's hat", "\u{e4}"] {
            let name = name_of(key).unwrap();
            assert!(!name.is_empty() && name != EXPIRY && !reserved_fields(TokenFormat::Secret).contains(&&*name));
            assert_eq!(key_of(&name), key);
        }
        assert!(name_of(&"a".repeat(64)).is_ok());
        assert!(name_of(&"a".repeat(65)).is_err());
    }

    #[test]
    fn the_store_gets_neither_the_id_nor_anything_that_is_the_same_for_two_ids() {
        let (one, other) = (credentials(&Id(1)), credentials(&Id(2)));
        assert_ne!(one.id, other.id);
        assert_ne!(one.secret_hash, other.secret_hash);
        assert!(one.secret_hash.is_some());
        assert_ne!(one.id.expose(), Id(1).to_string());
    }
}
