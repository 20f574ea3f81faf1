//! Waiting until what was revoked has reached more than one server.

use std::time::Duration;

use redis::aio::MultiplexedConnection;

use super::link::reason;
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
    pub(super) async fn wait(&self, connection: &mut MultiplexedConnection) -> Result<(), StoreError> {
        let millis = self.timeout.as_millis().max(1) as u64;
        let mut command = match self.on_disk {
            true => redis::cmd("WAITAOF"),
            false => redis::cmd("WAIT"),
        };
        if self.on_disk {
            command.arg(1);
        }
        command.arg(self.replicas).arg(millis);
        let answer = command.query_async::<redis::Value>(connection).await;
        let answer = answer.map_err(|error| missed(format!("{} to wait for them failed", reason(&error))))?;
        let reached: Vec<u32> = match redis::from_redis_value(answer)? {
            redis::Value::Int(replicas) => vec![1, replicas as u32],
            list => redis::from_redis_value(list)?,
        };
        match reached[..] {
            [local, replicas] if local >= 1 && replicas >= self.replicas => Ok(()),
            [0, _] => Err(missed("it is not on the primary's disk in time".to_owned())),
            [_, replicas] => Err(missed(format!("{replicas} of {} replicas have it in time", self.replicas))),
            _ => Err(missed("the server's answer is not understood".to_owned())),
        }
    }
}

fn missed(why: String) -> StoreError {
    StoreError::not_durable(format!("the session has ended, but may come back if the primary fails now: {why}"))
}
