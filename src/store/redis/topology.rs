//! The servers that were found: one, or a cluster of them.

use std::fmt;
use std::sync::Arc;

use super::cluster::Cluster;
use super::link::Link;
use crate::error::StoreError;

#[derive(Clone)]
pub(super) enum Topology {
    One(Link),
    Cluster(Arc<Cluster>),
}

impl Topology {
    /// The names of all primaries, for what looks at all keys.
    pub(super) fn primaries(&self) -> Vec<String> {
        let mut names: Vec<_> = match self {
            Topology::One(link) => vec![link.to_string()],
            Topology::Cluster(cluster) => cluster.primaries().into_iter().map(|(address, _)| address).collect(),
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
            Topology::One(link) => Some(Some(link.clone())).filter(|_| link.to_string() == name),
            Topology::Cluster(cluster) => {
                cluster.primaries().into_iter().find(|(address, _)| address == name).map(|(_, link)| link)
            }
        };
        found
            .ok_or_else(|| StoreError::new(format!("{name} is none of the servers")))?
            .ok_or_else(|| StoreError::new(format!("{name} is not connected")))
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Topology::One(link) => write!(f, "{link}"),
            Topology::Cluster(cluster) => write!(f, "cluster of {} primaries", cluster.primaries().len()),
        }
    }
}
