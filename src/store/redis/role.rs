//! Tells whether a server is a primary. A replica refuses changes, and a session that it reads may have been revoked on the
//! primary.

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};

/// Returns true if this server is the replica of another one. The answer is false for a node of a cluster, because the
/// cluster itself says whom to ask. A server that we may not ask, or that answers something else, is taken for a primary.
///
/// # Errors
/// Fails if there is no answer.
pub(super) async fn is_replica(connection: &mut MultiplexedConnection) -> RedisResult<bool> {
    Ok(says(connection, "replication", "role:slave").await?
        && !says(connection, "cluster", "cluster_enabled:1").await?)
}

async fn says(connection: &mut MultiplexedConnection, section: &str, line: &str) -> RedisResult<bool> {
    match redis::cmd("INFO").arg(section).query_async::<Value>(connection).await {
        Ok(answer) => Ok(redis::from_redis_value::<String>(answer).is_ok_and(|text| text.contains(line))),
        Err(error) if error.code().is_some() => Ok(false),
        Err(error) => Err(error),
    }
}
