//! Whether a server is a primary. A replica refuses changes, and what it reads may have been revoked on the primary.

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};

/// Whether this server follows another one. A node of a cluster counts as none: whom to ask there is for the cluster to say.
/// A server that may not be asked, or answers something else, is taken for a primary.
///
/// # Errors
/// When there is no answer.
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
