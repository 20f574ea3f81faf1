//! Connections on which the server tells what changes, and how it is known that they still live.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, ProtocolVersion, PushInfo, RedisError, RedisResult, Value};

use super::moment::Moment;
use super::{Near, Sight};
use crate::store::redis::dial::{Dialer, reason};
use crate::store::redis::role;

/// Opens a connection that the server tells what changes. Where it cannot, sessions are read from it all the same, each
/// time.
pub(in crate::store::redis) async fn open(
    dialer: &Dialer,
    timeout: Duration,
    near: &Arc<Near>,
) -> RedisResult<(MultiplexedConnection, Option<Arc<Sight>>)> {
    match open_tracked(dialer, timeout, near).await {
        Ok((connection, sight)) => Ok((connection, Some(sight))),
        Err(error) if error.is_io_error() || error.is_timeout() => Err(error),
        Err(error) => {
            let connection = dialer.open(timeout).await?;
            tracing::warn!(target: "cloakroom", "the near cache is off: {}", reason(&error));
            Ok((connection, None))
        }
    }
}

async fn open_tracked(
    dialer: &Dialer,
    timeout: Duration,
    near: &Arc<Near>,
) -> RedisResult<(MultiplexedConnection, Arc<Sight>)> {
    let sight = Arc::new(Sight::default());
    let hears = {
        let (near, sight) = (near.clone(), sight.clone());
        // called where replies are taken apart, so that a push is heard before every reply behind it
        move |push: PushInfo| -> Result<(), RedisError> {
            near.hear(&push, &sight);
            Ok(())
        }
    };
    let config = AsyncConnectionConfig::new().set_push_sender(hears);
    // in the older protocol a connection hears only answers
    let mut connection = dialer.open_with(config, ProtocolVersion::RESP3, timeout).await?;
    let asked = Moment::now();
    redis::cmd("CLIENT").arg("TRACKING").arg("ON").exec_async(&mut connection).await?;
    need_tracking(redis::cmd("CLIENT").arg("TRACKINGINFO").query_async(&mut connection).await)?;
    sight.prove(asked);
    Ok((connection, sight))
}

/// Some proxy may take the command for one that does nothing.
fn need_tracking(answer: RedisResult<Value>) -> RedisResult<()> {
    let stands = match answer {
        Ok(Value::Map(info)) => info.iter().any(|(name, value)| text_of(name) == "flags" && holds(value, "on")),
        Ok(_) => false,
        // Redis 6.0 tracks, and cannot be asked whether it does
        Err(error) => return if error.code() == Some("ERR") { Ok(()) } else { Err(error) },
    };
    if stands { Ok(()) } else { Err((ErrorKind::Client, "the server does not track what is read").into()) }
}

fn holds(list: &Value, wanted: &str) -> bool {
    matches!(list, Value::Array(items) | Value::Set(items) if items.iter().any(|item| text_of(item) == wanted))
}

fn text_of(value: &Value) -> &str {
    match value {
        Value::SimpleString(text) => text,
        Value::BulkString(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
        _ => "",
    }
}

/// The question that a connection is asked again and again, so that silence means something.
pub(in crate::store::redis) enum Pulse {
    /// Of a server that may have to follow another one some day.
    Role,
    /// In a cluster, whose nodes may take slots from each other. What it was the last time.
    Cluster(Option<String>),
}

/// What an answer says of everything that was read before.
pub(in crate::store::redis) enum Beat {
    /// It is as it was.
    Steady,
    /// It may be elsewhere by now.
    Moved,
    /// It is not served here any more.
    Demoted,
}

impl Pulse {
    /// Asks, and turns blind when no answer comes in time; a late one opens the eyes again.
    pub(in crate::store::redis) async fn beat(
        &mut self,
        connection: &mut MultiplexedConnection,
        sight: &Sight,
        silence_limit: Duration,
    ) -> RedisResult<Beat> {
        let asked = Moment::now();
        let mut answer = std::pin::pin!(self.ask(connection));
        let beat = match tokio::time::timeout(silence_limit / 2, &mut answer).await {
            Ok(beat) => beat,
            Err(_) => {
                sight.blind();
                answer.await
            }
        };
        match beat {
            Ok(Beat::Steady) => sight.prove(asked),
            Ok(Beat::Moved) => {
                sight.forget();
                sight.prove(asked);
            }
            Ok(Beat::Demoted) | Err(_) => sight.blind(),
        }
        beat
    }

    async fn ask(&mut self, connection: &mut MultiplexedConnection) -> RedisResult<Beat> {
        match self {
            Pulse::Role => Ok(if role::is_replica(connection).await? { Beat::Demoted } else { Beat::Steady }),
            Pulse::Cluster(last) => {
                let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(connection).await?;
                let now = epochs_of(&info);
                if !info.contains("cluster_state:ok") {
                    return Err((ErrorKind::Client, "the cluster is not whole").into());
                }
                let before = last.replace(now);
                Ok(if before.is_some() && before != *last { Beat::Moved } else { Beat::Steady })
            }
        }
    }
}

/// What changes whenever a slot, or a primary's place, is taken over.
fn epochs_of(info: &str) -> String {
    let names = ["cluster_current_epoch:", "cluster_my_epoch:", "cluster_slots_assigned:"];
    info.lines().filter(|line| names.iter().any(|name| line.starts_with(name))).collect::<Vec<_>>().join(" ")
}
