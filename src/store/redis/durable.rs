//! Waiting until what was revoked has reached more than one server.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use tokio::sync::Mutex;

use super::client_error::reason;
use super::question::Question;
use super::server_clock::ServerClock;
use crate::error::StoreError;

/// Until what a revoke waits before it counts as done.
///
/// A primary answers before its replicas have what it did. If it dies right then, one of them takes over without it, and
/// a session that was just revoked lives again. Waiting costs a round trip to the replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durability {
    /// How many replicas must have it.
    pub replicas: u32,
    /// Whether it must be on the disks of the primary and of these replicas (`WAITAOF`: Redis 7.2, any Valkey, with
    /// `appendonly yes`).
    pub on_disk: bool,
    /// How long to wait for them.
    pub timeout: Duration,
}

impl Durability {
    /// Waits until everything that this connection has changed is on the required servers and disks. The outer result is an error
    /// if the server gives no answer; the inner one, if the changes are not there in time.
    async fn wait(&self, connection: &mut MultiplexedConnection) -> RedisResult<Result<(), StoreError>> {
        let millis = self.timeout.as_millis().max(1) as u64;
        let mut command = match self.on_disk {
            true => redis::cmd("WAITAOF"),
            false => redis::cmd("WAIT"),
        };
        if self.on_disk {
            command.arg(1);
        }
        command.arg(self.replicas).arg(millis);
        let reached: Vec<u32> = match command.query_async(connection).await {
            Ok(Value::Int(replicas)) => vec![1, replicas as u32],
            Ok(list) => redis::from_redis_value(list).unwrap_or_default(),
            Err(error) if error.code().is_some() => return Ok(Err(unanswered(&reason(&error)))),
            Err(error) => return Err(error),
        };
        Ok(match reached[..] {
            [local, replicas] if local >= 1 && replicas >= self.replicas => Ok(()),
            [0, _] => Err(missed("it is not on the primary's disk in time".to_owned())),
            [_, replicas] => Err(missed(format!("{replicas} of {} replicas have it in time", self.replicas))),
            _ => Err(missed("the server's answer is not understood".to_owned())),
        })
    }
}

/// A connection for durable revokes alone. They need their own, because while a connection waits for replicas, all later
/// commands on it wait too.
///
/// One wait serves all revokes that were done before it began. So a hundred revokes at the same time wait for at most two waits,
/// and not for a hundred waits one after the other.
pub(super) struct DurableConnection {
    connection: MultiplexedConnection,
    /// The number that the connection for all callers had when this one was opened. Once that connection is lost, the primary may
    /// be another server.
    number: u64,
    /// What every wait on this connection waits for.
    durability: Durability,
    /// How many revokes are done.
    done: AtomicU64,
    /// How many revokes were done before the last wait began, and the result of that wait.
    waited: Mutex<(u64, Result<(), StoreError>)>,
    broken: AtomicBool,
}

impl DurableConnection {
    pub(super) fn new(connection: MultiplexedConnection, number: u64, durability: Durability) -> DurableConnection {
        DurableConnection {
            connection,
            number,
            durability,
            done: AtomicU64::new(0),
            waited: Mutex::new((0, Ok(()))),
            broken: AtomicBool::new(false),
        }
    }

    /// Returns whether this connection may be used together with the connection for all callers that has this number.
    pub(super) fn is_good_beside(&self, number: u64) -> bool {
        self.number == number && !self.broken.load(Ordering::SeqCst)
    }

    /// Returns whether the waits on this connection are for this durability.
    pub(super) fn is_for(&self, durability: &Durability) -> bool {
        self.durability == *durability
    }

    /// Asks the question and waits. Returns the answer, and whether the changes are on the required servers and disks.
    pub(super) async fn ask(&self, question: Question<'_>) -> RedisResult<(Value, Result<(), StoreError>)> {
        let mut connection = self.connection.clone();
        // a revoke does not need the server's time
        let (answer, _) = question.ask(&mut connection, &ServerClock::default()).await.inspect_err(|error| {
            if error.code().is_none() {
                self.broken.store(true, Ordering::SeqCst);
            }
        })?;
        let turn = self.done.fetch_add(1, Ordering::SeqCst) + 1;
        let mut waited = self.waited.lock().await;
        if waited.0 < turn {
            let done = self.done.load(Ordering::SeqCst);
            let waiting = Waiting(self);
            let reached = self.durability.wait(&mut connection).await;
            if reached.is_ok() {
                std::mem::forget(waiting);
            }
            *waited = (done, reached.unwrap_or_else(|error| Err(unanswered(&reason(&error)))));
        }
        Ok((answer, waited.1.clone()))
    }

    /// Asks a question during the migration of a slot and waits, like [`ask`](Self::ask). Nobody else uses the connection.
    pub(super) async fn ask_during_migration(
        mut connection: MultiplexedConnection,
        question: Question<'_>,
        durability: &Durability,
    ) -> RedisResult<(Value, Result<(), StoreError>)> {
        let (answer, _) = question.ask_during_migration(&mut connection, &ServerClock::default()).await?;
        let reached = durability.wait(&mut connection).await;
        Ok((answer, reached.unwrap_or_else(|error| Err(unanswered(&reason(&error))))))
    }
}

/// Marks the connection as broken when a wait is dropped before its end. The server still waits on that connection, and the next
/// question must not stand behind this wait.
struct Waiting<'a>(&'a DurableConnection);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.broken.store(true, Ordering::SeqCst);
    }
}

fn unanswered(why: &str) -> StoreError {
    missed(format!("waiting for the others failed: {why}"))
}

fn missed(why: String) -> StoreError {
    StoreError::not_durable(format!("the session has ended, but may come back if the primary fails now: {why}"))
}
