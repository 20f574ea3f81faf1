//! The private seam to the client library: one server, a cluster of them, or what is not known yet.

use std::fmt;
use std::sync::Arc;

use redis::{FromRedisValue, Value};

use super::cluster::Cluster;
use super::durable::Durability;
use super::later::Later;
use super::link::Link;
use super::near::TrackingSnapshot;
use super::question::Question;
use crate::error::StoreError;

#[derive(Clone)]
pub(super) enum Server {
    Known(Known),
    /// Looked for since the store was made, and perhaps found by now.
    Later(Arc<Later>),
}

#[derive(Clone)]
pub(super) enum Known {
    One(Link),
    Cluster(Arc<Cluster>),
}

impl Server {
    /// What was found, also after one attempt that is quick to fail.
    ///
    /// # Errors
    /// When nothing was found yet.
    pub(super) async fn known(&self) -> Result<&Known, StoreError> {
        match self {
            Server::Known(known) => Ok(known),
            Server::Later(later) => later.known().await,
        }
    }

    /// Asks whoever has this key: one round trip, and one more for each redirection.
    pub(super) async fn ask<T: FromRedisValue>(&self, key: &str, question: Question<'_>) -> Result<T, StoreError> {
        self.ask_with(key, question, None).await
    }

    /// The same, and what would be seen if the answer were to change.
    pub(super) async fn ask_seen<T: FromRedisValue>(
        &self,
        key: &str,
        question: Question<'_>,
    ) -> Result<(T, Option<TrackingSnapshot>), StoreError> {
        let (answer, seen) = match self.known().await? {
            Known::Cluster(cluster) => cluster.ask(key, question, None).await?,
            Known::One(link) => link.ask_seen(question).await.map_err(|failure| failure.error)?,
        };
        Ok((T::from_redis_value(answer).map_err(StoreError::from_client)?, seen))
    }

    /// The same for a revoke, which may have to wait for replicas.
    pub(super) async fn ask_with<T: FromRedisValue>(
        &self,
        key: &str,
        question: Question<'_>,
        durability: Option<&Durability>,
    ) -> Result<T, StoreError> {
        let answer: Value = match (self.known().await?, durability) {
            (Known::Cluster(cluster), durability) => cluster.ask(key, question, durability).await?.0,
            (Known::One(link), None) => link.ask(question).await.map_err(|failure| failure.error)?,
            (Known::One(link), Some(durability)) => {
                link.ask_durably(question, durability).await.map_err(|failure| failure.error)?
            }
        };
        T::from_redis_value(answer).map_err(StoreError::from_client)
    }

    /// The names of all primaries; none while no server was reached yet.
    pub(super) fn primaries(&self) -> Vec<String> {
        self.found().map(Known::primaries).unwrap_or_default()
    }

    fn found(&self) -> Option<&Known> {
        match self {
            Server::Known(known) => Some(known),
            Server::Later(later) => later.found(),
        }
    }
}

impl Known {
    /// The names of all primaries, for what looks at all keys.
    pub(super) fn primaries(&self) -> Vec<String> {
        let mut names: Vec<_> = match self {
            Known::One(link) => vec![link.to_string()],
            Known::Cluster(cluster) => cluster.primaries().into_iter().map(|(address, _)| address).collect(),
        };
        names.sort();
        names
    }

    /// The primary of this name.
    ///
    /// # Errors
    /// Where there is none, or it could not be reached yet: to pass over its keys would be a wrong answer.
    pub(super) fn primary(&self, name: &str) -> Result<Link, StoreError> {
        let found = match self {
            Known::One(link) => Some(Some(link.clone())).filter(|_| link.to_string() == name),
            Known::Cluster(cluster) => {
                cluster.primaries().into_iter().find(|(address, _)| address == name).map(|(_, link)| link)
            }
        };
        found
            .ok_or_else(|| StoreError::new(format!("{name} is none of the servers")))?
            .ok_or_else(|| StoreError::new(format!("{name} is not connected")))
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

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Known::One(link) => write!(f, "{link}"),
            Known::Cluster(cluster) => write!(f, "cluster of {} primaries", cluster.primaries().len()),
        }
    }
}
