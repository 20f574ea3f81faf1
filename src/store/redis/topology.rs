//! The servers that were found: a single one, or a cluster.

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
    /// Returns the names of all primaries. Whoever looks at all keys asks each of them.
    pub(super) fn primaries(&self) -> Vec<String> {
        let mut names: Vec<_> = match self {
            Topology::One(link) => vec![link.to_string()],
            Topology::Cluster(cluster) => cluster.primaries().into_iter().map(|(address, _)| address).collect(),
        };
        names.sort();
        names
    }

    /// Returns the primary with this name.
    ///
    /// # Errors
    /// Fails if there is no such primary, or if it could not be reached yet. To skip its keys silently would be a wrong
    /// answer.
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
