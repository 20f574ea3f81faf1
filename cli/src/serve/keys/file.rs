//! The file with the hashes of the API keys: read by the service, written by the verb `key`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::serve::keys::key::{ApiKey, KeyHash, Rights, random_bytes};

/// One key is in use, and the other one replaces it.
const MOST_KEYS_OF_ONE_NAME: usize = 2;
const LONGEST_NAME: usize = 64;

const HEADER: &str = "\
# The API keys of `cloakroom serve`, written by `cloakroom key`. It has their hashes only, but the secret below is secret, too.

";

/// What the file says.
pub(crate) struct KeysFile {
    /// What the tokens of repeated sign-ins are derived from.
    pub(crate) idempotency_secret: [u8; 32],
    pub(crate) keys: Vec<Key>,
}

/// A key that is valid.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) rights: Rights,
    pub(crate) hash: KeyHash,
    pub(crate) created_at: Timestamp,
}

impl KeysFile {
    /// Makes a file without keys, and a new secret.
    ///
    /// # Errors
    /// Returns an error if the operating system has no random bytes.
    pub(crate) fn new() -> Result<KeysFile, Failure> {
        Ok(KeysFile { idempotency_secret: random_bytes()?, keys: Vec::new() })
    }

    /// Reads the file.
    ///
    /// # Errors
    /// Returns an error that says what is wrong with it, without repeating what is in it.
    pub(crate) fn read(path: &Path) -> Result<KeysFile, Failure> {
        match fs::read_to_string(path) {
            Ok(text) => KeysFile::parse(&text).map_err(|why| refused(path, &why)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Failure::usage(format!(
                "there is no file with keys at {}: make one with cloakroom key new",
                path.display()
            ))),
            Err(error) => Err(refused(path, &error.to_string())),
        }
    }

    fn parse(text: &str) -> Result<KeysFile, String> {
        // the whole error would show the line, and the secret is on a line
        let stored: Stored = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
            format!("line {line}: {}", error.message())
        })?;
        let file = KeysFile {
            idempotency_secret: secret(&stored.idempotency_secret)
                .ok_or("idempotency_secret must be 32 bytes in base64url without padding, which are 43 characters")?,
            keys: stored.key.into_iter().map(Key::try_from).collect::<Result<_, _>>()?,
        };
        match file.keys.iter().find(|key| file.of(&key.name).count() > MOST_KEYS_OF_ONE_NAME) {
            Some(key) => Err(format!("{} has more than {MOST_KEYS_OF_ONE_NAME} keys: remove one", key.name)),
            None => Ok(file),
        }
    }

    /// Returns the keys of this name, in the order in which they were made.
    pub(crate) fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Key> {
        self.keys.iter().filter(move |key| key.name == name)
    }

    /// Adds a key that was made now, and returns it.
    ///
    /// # Errors
    /// Returns an error if the name cannot be one, or has two keys already.
    pub(crate) fn add(&mut self, name: &str, rights: Rights) -> Result<ApiKey, Failure> {
        check_name(name).map_err(Failure::usage)?;
        if self.of(name).count() >= MOST_KEYS_OF_ONE_NAME {
            return Err(Failure::failed(format!(
                "{name} has {MOST_KEYS_OF_ONE_NAME} keys already, which is the most: remove the one that is not used any more with \
                 cloakroom key remove --name {name} --older"
            )));
        }
        let key = ApiKey::random()?;
        self.keys.push(Key { name: name.to_owned(), rights, hash: key.hash(), created_at: Timestamp::now() });
        Ok(key)
    }

    fn text(&self) -> Result<String, Failure> {
        let stored = Stored {
            idempotency_secret: URL_SAFE_NO_PAD.encode(self.idempotency_secret),
            key: self.keys.iter().map(StoredKey::from).collect(),
        };
        let text = toml::to_string(&stored).map_err(|error| Failure::failed(error.to_string()))?;
        Ok(format!("{HEADER}{text}"))
    }
}

/// Changes the file in one step, or makes it if it is missing and may be made: whoever reads it sees it before or after the change.
///
/// # Errors
/// Returns an error if the file cannot be read or written, if another process changes it at this moment, or as `change` does. Then it
/// is as it was.
pub(crate) fn change<T>(
    path: &Path,
    may_make: bool,
    change: impl FnOnce(&mut KeysFile) -> Result<T, Failure>,
) -> Result<T, Failure> {
    // beside the file, because only a rename within one directory is one step; and first, because it keeps others away
    let draft = Draft::beside(path)?;
    let mut file = if may_make && !path.exists() { KeysFile::new()? } else { KeysFile::read(path)? };
    let changed = change(&mut file)?;
    let text = file.text()?;
    draft.replace(path, &text).map_err(|error| refused(path, &error.to_string()))?;
    Ok(changed)
}

/// Returns the permissions of others, if others may read the file. What is in it would let them repeat a sign-in.
#[cfg(unix)]
pub(crate) fn permissions_of_others(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
pub(crate) fn permissions_of_others(_: &Path) -> Option<u32> {
    None
}

/// What replaces the file. It is removed when it was not needed.
struct Draft {
    file: File,
    path: PathBuf,
}

impl Draft {
    fn beside(path: &Path) -> Result<Draft, Failure> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let draft = path.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&draft) {
            Ok(file) => Ok(Draft { file, path: draft }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Failure::failed(format!(
                "another process is changing {}. If none is, one has died: remove {}",
                path.display(),
                draft.display()
            ))),
            Err(error) => Err(refused(path, &error.to_string())),
        }
    }

    fn replace(mut self, path: &Path, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        self.keep_owner(path)?;
        self.file.sync_all()?;
        fs::rename(&self.path, path)?;
        #[cfg(unix)]
        File::open(directory_of(path))?.sync_all()?;
        Ok(())
    }

    /// Gives the file to whom it belonged, or to whom its directory belongs if it is new: root may make keys for a service.
    #[cfg(unix)]
    fn keep_owner(&self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::{MetadataExt as _, fchown};
        let ours = self.file.metadata()?;
        let owner = match fs::metadata(path) {
            Ok(before) => before,
            // somebody who is not root could give nothing away
            Err(_) if ours.uid() != 0 => return Ok(()),
            Err(_) => fs::metadata(directory_of(path))?,
        };
        if (owner.uid(), owner.gid()) == (ours.uid(), ours.gid()) {
            return Ok(());
        }
        fchown(&self.file, Some(owner.uid()), Some(owner.gid()))
    }

    #[cfg(not(unix))]
    fn keep_owner(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(unix)]
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn refused(path: &Path, why: &str) -> Failure {
    Failure::failed(format!("the file with the keys, {}: {why}", path.display()))
}

/// The file, as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    idempotency_secret: String,
    #[serde(default)]
    key: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    name: String,
    rights: Rights,
    hash: String,
    created_at: Timestamp,
}

impl From<&Key> for StoredKey {
    fn from(key: &Key) -> StoredKey {
        StoredKey { name: key.name.clone(), rights: key.rights, hash: key.hash.hex(), created_at: key.created_at }
    }
}

impl TryFrom<StoredKey> for Key {
    type Error = String;

    fn try_from(stored: StoredKey) -> Result<Key, String> {
        check_name(&stored.name)?;
        let Some(hash) = KeyHash::parse(&stored.hash) else {
            return Err(format!("the hash of {} must be 64 hexadecimal digits", stored.name));
        };
        Ok(Key { name: stored.name, rights: stored.rights, hash, created_at: stored.created_at })
    }
}

/// A name is in every line of the log and in shells.
fn check_name(name: &str) -> Result<(), String> {
    let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if is_plain && !name.is_empty() && name.len() <= LONGEST_NAME && !name.starts_with('-') {
        return Ok(());
    }
    Err(format!(
        "the name of a key must have 1 to {LONGEST_NAME} letters, digits, `-`, `_` and `.`, and must not begin with `-`"
    ))
}

fn secret(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_its_secret() {
        let secret = URL_SAFE_NO_PAD.encode([7; 32]);
        let hash = "0".repeat(64);
        let key = |name: &str| {
            format!(
                "[[key]]\nname = \"{name}\"\nrights = \"app\"\nhash = \"{hash}\"\ncreated_at = \"2026-01-01T00:00:00Z\"\n"
            )
        };
        let whole = format!("idempotency_secret = \"{secret}\"\n");
        let cases = [
            (format!("{whole}{}{}", key("shop"), key("shop")), None),
            (format!("{whole}{}{}{}", key("shop"), key("shop"), key("shop")), Some("more than 2 keys")),
            (format!("idempotency_secret = {secret}"), Some("line 1")),
            (format!("idempotency_secret = \"{secret}x\""), Some("43 characters")),
            (format!("{whole}colour = 1"), Some("unknown field `colour`")),
            (format!("{whole}{}", key("a b")), Some("letters")),
            (format!("{whole}{}", key("shop").replace("app", "root")), Some("unknown variant `root`")),
            (format!("{whole}{}", key("shop").replace(&hash, "abc")), Some("64 hexadecimal digits")),
            (String::new(), Some("missing field `idempotency_secret`")),
        ];
        for (text, wrong) in cases {
            let said = KeysFile::parse(&text).err();
            assert!(!said.as_deref().unwrap_or_default().contains(&secret), "{said:?}");
            assert_eq!(said.is_some(), wrong.is_some(), "{text}: {said:?}");
            assert!(said.unwrap_or_default().contains(wrong.unwrap_or_default()), "{text}");
        }
    }
}
