//! How it is known that a connection still lives, and that its server still serves what was read from it.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisResult};

use super::Tracking;
use super::moment::Moment;
use crate::store::redis::role;

/// A question that is asked on a connection at intervals, so that a connection that is silently lost is noticed.
pub(in crate::store::redis) enum Heartbeat {
    /// Of a server that may have to follow another one some day.
    Role,
    /// In a cluster, whose nodes may take slots from each other. What it was the last time.
    Cluster(Option<String>),
}

/// What an answer means for everything that was read before.
pub(in crate::store::redis) enum HeartbeatAnswer {
    /// It is as it was.
    Steady,
    /// It may be elsewhere by now.
    Moved,
    /// It is not served here any more.
    Demoted,
}

impl Heartbeat {
    /// Asks, and turns blind when no answer comes in time; a late one opens the eyes again.
    pub(in crate::store::redis) async fn beat(
        &mut self,
        connection: &mut MultiplexedConnection,
        tracking: &Tracking,
        silence_limit: Duration,
    ) -> RedisResult<HeartbeatAnswer> {
        let asked = Moment::now();
        let mut answer = std::pin::pin!(self.ask(connection));
        let beat = match tokio::time::timeout(silence_limit / 2, &mut answer).await {
            Ok(beat) => beat,
            Err(_) => {
                tracking.blind();
                answer.await
            }
        };
        match beat {
            Ok(HeartbeatAnswer::Steady) => tracking.prove(asked),
            Ok(HeartbeatAnswer::Moved) => {
                tracking.forget();
                tracking.prove(asked);
            }
            Ok(HeartbeatAnswer::Demoted) | Err(_) => tracking.blind(),
        }
        beat
    }

    async fn ask(&mut self, connection: &mut MultiplexedConnection) -> RedisResult<HeartbeatAnswer> {
        match self {
            Heartbeat::Role => {
                Ok(if role::is_replica(connection).await? { HeartbeatAnswer::Demoted } else { HeartbeatAnswer::Steady })
            }
            Heartbeat::Cluster(last) => {
                let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(connection).await?;
                let now = epochs_of(&info);
                if !info.contains("cluster_state:ok") {
                    return Err((ErrorKind::Client, "the cluster is not whole").into());
                }
                let before = last.replace(now);
                Ok(if before.is_some() && before != *last { HeartbeatAnswer::Moved } else { HeartbeatAnswer::Steady })
            }
        }
    }
}

/// What changes whenever a slot, or a primary's place, is taken over.
fn epochs_of(info: &str) -> String {
    let names = ["cluster_current_epoch:", "cluster_my_epoch:", "cluster_slots_assigned:"];
    info.lines().filter(|line| names.iter().any(|name| line.starts_with(name))).collect::<Vec<_>>().join(" ")
}
