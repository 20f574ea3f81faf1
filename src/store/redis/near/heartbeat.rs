//! How the store knows that a connection is still alive, and that its server still serves what was read on it.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisResult};

use super::Tracking;
use crate::store::redis::moment::Moment;
use crate::store::redis::role;

/// A question that is asked on a connection at intervals, to notice a connection that was lost without a sign.
pub(in crate::store::redis) enum Heartbeat {
    /// For a server that may become the replica of another one some day: asks whether it still is a primary.
    Role,
    /// For a node of a cluster, where nodes may take slots from each other: asks for the state of the cluster. Holds the
    /// state from the last answer.
    Cluster(Option<String>),
}

/// What an answer means for everything that was read before it.
pub(in crate::store::redis) enum HeartbeatAnswer {
    /// Everything is served here as before.
    Steady,
    /// Something may have moved to another server.
    Moved,
    /// The server is no primary any more, so nothing is served here.
    Demoted,
}

impl Heartbeat {
    /// Asks the question. If no answer comes in time, nothing is served from the cache until a late answer comes.
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

/// Returns the lines that change whenever a server takes over a slot or the place of a primary.
fn epochs_of(info: &str) -> String {
    let names = ["cluster_current_epoch:", "cluster_my_epoch:", "cluster_slots_assigned:"];
    info.lines().filter(|line| names.iter().any(|name| line.starts_with(name))).collect::<Vec<_>>().join(" ")
}
