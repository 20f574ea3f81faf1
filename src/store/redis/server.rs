//! The private border to the client library: a single server, a cluster, or servers that were not reached yet.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use redis::FromRedisValue;

use super::durable::Durability;
use super::later::Later;
use super::link::Answer;
use super::question::Question;
use super::topology::Topology;
use crate::error::StoreError;

#[derive(Clone)]
pub(super) enum Server {
    Known(Topology),
    /// Servers that are looked for in the background since the store was made. They may be found by now.
    Later(Arc<Later>),
}

impl Server {
    /// Returns the servers. If none was reached yet, waits first for one attempt to reach them, unless the attempts take long
    /// to fail.
    ///
    /// # Errors
    /// Fails if no server was reached yet.
    pub(super) async fn known(&self) -> Result<&Topology, StoreError> {
        match self {
            Server::Known(known) => Ok(known),
            Server::Later(later) => later.known().await,
        }
    }

    /// Asks the server that has this key. One round trip, and one more for each redirection.
    pub(super) async fn ask<T: FromRedisValue>(&self, key: &str, question: Question<'_>) -> Result<T, StoreError> {
        self.ask_with(key, question, None).await
    }

    /// Asks like [`ask`](Server::ask), and returns everything that is known about the answer.
    pub(super) async fn answer(&self, key: &str, question: Question<'_>) -> Result<Answer, StoreError> {
        match self.known().await? {
            Topology::Cluster(cluster) => cluster.ask(key, question, None).await,
            Topology::One(link) => link.answer(question).await.map_err(|failure| failure.error),
        }
    }

    /// Guesses the time of the server that has this key, from when it was last asked, perhaps long ago. `None` if it never was.
    pub(super) async fn guess_time(&self, key: &str) -> Result<Option<SystemTime>, StoreError> {
        Ok(match self.known().await? {
            Topology::Cluster(cluster) => cluster.guess_time(key),
            Topology::One(link) => link.guess_time(),
        })
    }

    /// Asks like [`ask`](Server::ask), but for a revoke, which may have to wait for replicas.
    pub(super) async fn ask_with<T: FromRedisValue>(
        &self,
        key: &str,
        question: Question<'_>,
        durability: Option<&Durability>,
    ) -> Result<T, StoreError> {
        let answer = match (self.known().await?, durability) {
            (Topology::Cluster(cluster), durability) => cluster.ask(key, question, durability).await?,
            (Topology::One(link), None) => link.answer(question).await.map_err(|failure| failure.error)?,
            (Topology::One(link), Some(durability)) => {
                link.ask_durably(question, durability).await.map_err(|failure| failure.error)?
            }
        };
        T::from_redis_value(answer.value).map_err(StoreError::from_client)
    }

    /// Returns the names of all primaries. The list is empty while no server was reached yet.
    pub(super) fn primaries(&self) -> Vec<String> {
        self.found().map(Topology::primaries).unwrap_or_default()
    }

    fn found(&self) -> Option<&Topology> {
        match self {
            Server::Known(known) => Some(known),
            Server::Later(later) => later.found(),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Server::Known(known) => write!(f, "{known}"),
            Server::Later(later) => write!(f, "{later}"),
        }
    }
}
