//! User and password that are asked for anew at each connection.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;

/// A user and a password, as a server wants them at this moment. `Debug` does not show the password.
///
/// ```
/// use cloakroom::store::RedisCredentials;
///
/// let credentials = RedisCredentials::password("a token that is good for a quarter of an hour").username("app");
/// assert!(!format!("{credentials:?}").contains("token"));
/// ```
#[derive(Clone)]
#[must_use]
pub struct RedisCredentials {
    pub(super) username: Option<String>,
    pub(super) password: String,
}

impl RedisCredentials {
    /// A password of the user that is configured otherwise, or of the server's default user.
    pub fn password(password: impl Into<String>) -> RedisCredentials {
        RedisCredentials { username: None, password: password.into() }
    }

    /// The ACL user to whom the password belongs.
    pub fn username(mut self, name: impl Into<String>) -> Self {
        self.username = Some(name.into());
        self
    }
}

impl fmt::Debug for RedisCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCredentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Where credentials come from.
#[derive(Clone)]
pub(super) struct Source(Arc<dyn Fn() -> BoxFuture<'static, Result<RedisCredentials, String>> + Send + Sync>);

impl Source {
    pub(super) fn asking<F, A, E>(ask: F) -> Source
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<RedisCredentials, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        Source(Arc::new(move || {
            let asked = ask();
            Box::pin(async move { asked.await.map_err(|error| format!("no credentials: {}", error.into())) })
        }))
    }

    /// Returns a source that reads the password from a file with one line.
    pub(super) fn file(path: PathBuf) -> Source {
        Source(Arc::new(move || {
            let path = path.clone();
            Box::pin(async move {
                let refused = |why: String| format!("the password file {}: {why}", path.display());
                let reading = tokio::task::spawn_blocking({
                    let path = path.clone();
                    move || std::fs::read(path)
                });
                let read = reading.await.map_err(|_| refused("reading it was given up".to_owned()))?;
                let bytes = read.map_err(|error| refused(error.to_string()))?;
                let text = String::from_utf8(bytes).map_err(|_| refused("is no text".to_owned()))?;
                let password = text.trim_end_matches(['\r', '\n']);
                match password.is_empty() || password.contains('\n') {
                    true => Err(refused("must hold one line, the password".to_owned())),
                    false => Ok(RedisCredentials::password(password)),
                }
            })
        }))
    }

    pub(super) async fn ask(&self) -> Result<RedisCredentials, String> {
        (self.0)().await
    }
}
