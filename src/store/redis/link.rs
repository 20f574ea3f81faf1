//! One multiplexed connection that is re-made when it is lost.
//!
//! While it is away calls fail at once instead of queueing. Nothing is ever sent twice: the client library's own
//! retries are not used, because it cannot know whether a change was made before the answer got lost.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use backon::BackoffBuilder;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult};

use crate::error::StoreError;

const FIRST_DELAY: Duration = Duration::from_millis(20);
const LONGEST_DELAY: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) struct Link(Arc<Shared>);

struct Shared {
    client: Client,
    config: AsyncConnectionConfig,
    /// The address without its password.
    shown: String,
    // never held across an await
    state: Mutex<State>,
}

enum State {
    Up {
        connection: MultiplexedConnection,
        number: u64,
    },
    /// Lost; a task is re-making it.
    Down {
        why: String,
        number: u64,
    },
}

impl Link {
    pub(super) async fn connect(client: Client, shown: String, timeout: Duration) -> Result<Link, StoreError> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(timeout)).set_response_timeout(Some(timeout));
        let connection = open(&client, &config).await;
        let connection =
            connection.map_err(|error| StoreError::new(format!("cannot connect to {shown}: {}", reason(&error))))?;
        let state = Mutex::new(State::Up { connection, number: 0 });
        Ok(Link(Arc::new(Shared { client, config, shown, state })))
    }

    /// Asks one question on the connection, or fails at once while there is none.
    pub(super) async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        let (mut connection, number) = match &*self.0.state() {
            State::Up { connection, number } => (connection.clone(), *number),
            State::Down { why, .. } => {
                return Err(StoreError::new(format!("{} is not connected: {why}", self.0.shown)));
            }
        };
        match question(&mut connection).await {
            Ok(answer) => Ok(answer),
            Err(error) if error.code().is_some() => {
                Err(StoreError::new(format!("{} refused: {}", self.0.shown, reason(&error))))
            }
            Err(error) => {
                if error.is_io_error() || error.is_timeout() || error.is_unrecoverable_error() {
                    self.lost(number, &error);
                }
                Err(StoreError::unknown(format!("{} gave no answer: {}", self.0.shown, reason(&error))))
            }
        }
    }

    /// Gives up this connection, unless it has been replaced already, and has a new one made.
    fn lost(&self, lost: u64, error: &RedisError) {
        let mut state = self.0.state();
        if matches!(&*state, State::Up { number, .. } if *number == lost) {
            tracing::warn!(target: "cloakroom", server = self.0.shown, "connection lost: {}", reason(error));
            *state = State::Down { why: reason(error), number: lost };
            tokio::spawn(reconnect(Arc::downgrade(&self.0)));
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new connection into use; whether it stands.
    fn restored(&self, connection: RedisResult<MultiplexedConnection>) -> bool {
        let mut state = self.state();
        let State::Down { number, .. } = *state else {
            return true;
        };
        *state = match connection {
            Ok(connection) => {
                tracing::info!(target: "cloakroom", server = self.shown, "connected again");
                State::Up { connection, number: number + 1 }
            }
            Err(error) => State::Down { why: reason(&error), number },
        };
        matches!(*state, State::Up { .. })
    }
}

/// A connection on which the server answers. The library alone does not notice one that wants a password, or is loading.
async fn open(client: &Client, config: &AsyncConnectionConfig) -> RedisResult<MultiplexedConnection> {
    let mut connection = client.get_multiplexed_async_connection_with_config(config).await?;
    match redis::cmd("PING").exec_async(&mut connection).await {
        // whoever may not even PING is known to the server
        Err(error) if error.code() != Some("NOPERM") => Err(error),
        _ => Ok(connection),
    }
}

/// Tries until it stands, or until nobody holds the link any more.
async fn reconnect(link: Weak<Shared>) {
    let delays = backon::ExponentialBuilder::new()
        .with_min_delay(FIRST_DELAY)
        .with_max_delay(LONGEST_DELAY)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times();
    for delay in delays.build() {
        let Some(shared) = link.upgrade() else { return };
        let connection = open(&shared.client, &shared.config).await;
        if shared.restored(connection) {
            return;
        }
        drop(shared);
        tokio::time::sleep(delay).await;
    }
}

/// What a client's error says, without the question that caused it: a server that does not know a command quotes its
/// arguments, and the key of a plain token is the token.
fn reason(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => {
            let quoted = detail.find(", with args").unwrap_or(detail.len());
            format!("{code} {}", &detail[..quoted])
        }
        (Some(code), None) => code.to_owned(),
        (None, _) => error.to_string(),
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.shown)
    }
}
