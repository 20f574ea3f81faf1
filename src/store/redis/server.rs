//! The private seam to the client library: one server, or a cluster of them.

use std::fmt;
use std::sync::Arc;

use redis::{FromRedisValue, Value};

use super::cluster::Cluster;
use super::durable::Durability;
use super::link::Link;
use super::near::Seen;
use super::question::Question;
use crate::error::StoreError;

#[derive(Clone)]
pub(super) enum Server {
    One(Link),
    Cluster(Arc<Cluster>),
}

impl Server {
    /// Asks whoever has this key: one round trip, and one more for each redirection.
    pub(super) async fn ask<T: FromRedisValue>(&self, key: &str, question: Question<'_>) -> Result<T, StoreError> {
        self.ask_with(key, question, None).await
    }

    /// The same, and what would be seen if the answer were to change.
    pub(super) async fn ask_seen<T: FromRedisValue>(
        &self,
        key: &str,
        question: Question<'_>,
    ) -> Result<(T, Option<Seen>), StoreError> {
        let (answer, seen) = match self {
            Server::Cluster(cluster) => cluster.ask(key, question, None).await?,
            Server::One(link) => link.ask_seen(question).await.map_err(|failure| failure.error)?,
        };
        Ok((T::from_redis_value(answer)?, seen))
    }

    /// The same for a revoke, which may have to wait for replicas.
    pub(super) async fn ask_with<T: FromRedisValue>(
        &self,
        key: &str,
        question: Question<'_>,
        durability: Option<&Durability>,
    ) -> Result<T, StoreError> {
        let answer: Value = match (self, durability) {
            (Server::Cluster(cluster), durability) => cluster.ask(key, question, durability).await?.0,
            (Server::One(link), None) => link.ask(question).await.map_err(|failure| failure.error)?,
            (Server::One(link), Some(durability)) => {
                link.ask_durably(question, durability).await.map_err(|failure| failure.error)?
            }
        };
        Ok(T::from_redis_value(answer)?)
    }

    /// Every primary, for what looks at all keys.
    pub(super) fn primaries(&self) -> Vec<Link> {
        match self {
            Server::One(link) => vec![link.clone()],
            Server::Cluster(cluster) => cluster.primaries(),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Server::One(link) => write!(f, "{link}"),
            Server::Cluster(cluster) => write!(f, "cluster of {} primaries", cluster.primaries().len()),
        }
    }
}
