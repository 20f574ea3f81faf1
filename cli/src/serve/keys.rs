//! API keys: who calls the service, and what this caller may do.

mod file;
mod key;
mod local;

use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

pub(crate) use self::file::{Key, KeysFile, change};
use self::key::KeyHash;
pub(crate) use self::key::Rights;
use crate::failure::Failure;
use crate::serve::problem::Problem;

/// The keys that are valid now.
pub(crate) struct Keys {
    /// Without a file, everybody has all rights.
    path: Option<PathBuf>,
    /// Whether only this machine is to be answered, because nobody has confirmed that others may do without keys.
    only_local: bool,
    valid: RwLock<Arc<Vec<Key>>>,
    idempotency_secret: [u8; 32],
}

/// Who has made a request, in the extensions of the answer, for the log. Without keys nobody has a name.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) name: Option<String>,
    rights: Rights,
}

impl Keys {
    /// Reads the file, if there is one. `without_keys` says that others than this machine may do without.
    ///
    /// # Errors
    /// Returns an error if the file is missing or cannot be read.
    pub(crate) fn open(path: Option<PathBuf>, without_keys: bool) -> Result<Keys, Failure> {
        let file = match &path {
            Some(path) => KeysFile::read(path)?,
            None => KeysFile::new()?,
        };
        let keys = Keys {
            only_local: path.is_none() && !without_keys,
            path,
            valid: RwLock::new(Arc::new(file.keys)),
            idempotency_secret: file.idempotency_secret,
        };
        keys.warn();
        Ok(keys)
    }

    /// Returns what the tokens of repeated sign-ins are derived from. It stays what it was at the start. Without a file it is a new one
    /// at each start.
    pub(crate) fn idempotency_secret(&self) -> [u8; 32] {
        self.idempotency_secret
    }

    /// Returns how many keys are valid.
    pub(crate) fn count(&self) -> u64 {
        self.valid().len() as u64
    }

    /// Reads the file again. If it cannot be read, the keys stay as they are.
    pub(crate) fn reload(&self) {
        let Some(path) = &self.path else { return };
        match KeysFile::read(path) {
            Ok(file) => {
                if file.idempotency_secret != self.idempotency_secret {
                    tracing::warn!(
                        "the idempotency_secret of the file with the keys has changed: it is used after a restart"
                    );
                }
                tracing::info!(keys = file.keys.len(), "the file with the keys was read again");
                *self.valid.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = Arc::new(file.keys);
                self.warn();
            }
            Err(error) => tracing::error!(%error, "the keys stay as they are, because their file cannot be read again"),
        }
    }

    /// Returns whose key this is. Each key is compared in constant time, and always all of them.
    fn caller(&self, key: &[u8]) -> Option<Caller> {
        let presented = KeyHash::of(key);
        let valid = self.valid();
        valid.iter().fold(None, |found, key| match key.hash.matches(&presented) {
            true => Some(Caller { name: Some(key.name.clone()), rights: key.rights }),
            false => found,
        })
    }

    fn valid(&self) -> Arc<Vec<Key>> {
        Arc::clone(&self.valid.read().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    fn warn(&self) {
        let Some(path) = &self.path else { return };
        if self.valid().is_empty() {
            tracing::warn!(path = %path.display(), "the file has no key, so every call is refused: make one with cloakroom key new");
        }
        if let Some(mode) = file::permissions_of_others(path) {
            tracing::warn!(
                path = %path.display(),
                mode = format_args!("{mode:o}"),
                "others may read the file with the keys, and it has a secret in it: run chmod 600"
            );
        }
    }
}

/// Lets a request for a visitor's own session through if the caller may read, or may change where the method changes something.
///
/// # Errors
/// Answers with the problem `key` or `rights`. The body has not been read then.
pub(crate) async fn for_a_session(State(keys): State<Arc<Keys>>, request: Request, next: Next) -> Response {
    let needed = match *request.method() {
        Method::GET | Method::HEAD => Rights::Read,
        _ => Rights::App,
    };
    authenticated(&keys, needed, request, next).await
}

/// Lets a request through if the caller has the rights of an administrator.
///
/// # Errors
/// As [`for_a_session`].
pub(crate) async fn for_administrators(State(keys): State<Arc<Keys>>, request: Request, next: Next) -> Response {
    authenticated(&keys, Rights::Admin, request, next).await
}

async fn authenticated(keys: &Keys, needed: Rights, mut request: Request, next: Next) -> Response {
    if keys.only_local && local::is_asked_under_a_foreign_name(request.headers()) {
        return Problem::foreign_name().into_response();
    }
    let caller = match keys.path {
        Some(_) => bearer(&request).and_then(|key| keys.caller(key)),
        None => Some(Caller { name: None, rights: Rights::Admin }),
    };
    let Some(caller) = caller else {
        return Problem::key().into_response();
    };
    // nobody after this needs it, so nobody can log it
    request.headers_mut().remove(header::AUTHORIZATION);
    let mut response = match caller.rights >= needed {
        true => next.run(request).await,
        false => Problem::rights(caller.rights.name(), needed.name()).into_response(),
    };
    response.extensions_mut().insert(caller);
    response
}

/// Returns the key, if there is exactly one header with one.
fn bearer(request: &Request) -> Option<&[u8]> {
    let mut headers = request.headers().get_all(header::AUTHORIZATION).iter();
    let (scheme, key) = headers.next()?.as_bytes().split_at_checked("Bearer ".len())?;
    (scheme.eq_ignore_ascii_case(b"Bearer ") && headers.next().is_none()).then(|| key.trim_ascii())
}

/// Reads the file with the keys again whenever the process gets SIGHUP. From now on this signal does not end the process.
#[cfg(unix)]
pub(crate) fn reload_at_hangup(keys: Arc<Keys>) {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::hangup()) {
        Ok(mut hangups) => {
            tokio::spawn(async move {
                while hangups.recv().await.is_some() {
                    keys.reload();
                }
            });
        }
        Err(error) => tracing::warn!(%error, "the file with the keys is read at the start only"),
    }
}

#[cfg(not(unix))]
pub(crate) fn reload_at_hangup(_: Arc<Keys>) {}
