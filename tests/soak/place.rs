//! Where the sessions are, and what happens to them there.

use std::path::Path;
use std::time::Duration;

use cloakroom::store::operate::Inspect;
use cloakroom::store::{Embedded, NearCache, Redis, Store};
use tempfile::TempDir;

use crate::support::cluster::until;
use crate::support::{RedisCluster, RedisServer};
use crate::world::MANAGERS;

/// After so many rounds everything that happens to servers happens again, and stores that may be open beside others are
/// opened anew.
pub(crate) const DISTURBANCES: usize = 5;

pub(crate) trait Place: Sized + Send + Sync + 'static {
    type Store: Store + Inspect + Clone;
    /// Whether it is opened again while nobody asks for anything: only one process, and only once, may have it open.
    const IS_EXCLUSIVE: bool;

    fn start() -> Self;

    /// A store for each manager.
    async fn open(&self, round: usize) -> Vec<Self::Store>;

    /// One of the things that happen to servers, while they are asked.
    fn disturb(&mut self, round: usize);

    /// How many connections the servers have.
    fn connections(&self) -> u64;

    /// How many bytes are on the disk.
    fn bytes_on_disk(&self) -> u64;

    /// Keys that would live for ever.
    fn immortal_keys(&self) -> Vec<String>;
}

pub(crate) struct OnDisk(TempDir);

impl Place for OnDisk {
    type Store = Embedded;
    const IS_EXCLUSIVE: bool = true;

    fn start() -> Self {
        OnDisk(tempfile::tempdir().expect("a temporary directory"))
    }

    /// With small parts, so that the oldest is often written again.
    async fn open(&self, round: usize) -> Vec<Embedded> {
        let builder = Embedded::builder(self.0.path().join("sessions")).part_bytes(256 << 10);
        let builder = if round.is_multiple_of(2) { builder } else { builder.wait_for_disk() };
        vec![builder.open().expect("nobody else has it open"); MANAGERS]
    }

    fn disturb(&mut self, _round: usize) {}

    fn connections(&self) -> u64 {
        0
    }

    fn bytes_on_disk(&self) -> u64 {
        bytes_in(self.0.path())
    }

    fn immortal_keys(&self) -> Vec<String> {
        Vec::new()
    }
}

fn bytes_in(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("the directory is ours").map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.metadata().unwrap() {
            metadata if metadata.is_dir() => bytes_in(&entry.path()),
            metadata => metadata.len(),
        })
        .sum()
}

pub(crate) struct InCluster(RedisCluster);

/// How many ended sessions a near cache may still hold: few, so that it is soon full.
const NEAR_SESSIONS: usize = 300;

impl Place for InCluster {
    type Store = Redis;
    const IS_EXCLUSIVE: bool = false;

    /// On a busy machine a node is not away because it is silent for a moment.
    fn start() -> Self {
        InCluster(RedisCluster::start_with(&["--cluster-node-timeout", "15000"]))
    }

    async fn open(&self, _round: usize) -> Vec<Redis> {
        let near = NearCache::default().max_sessions(NEAR_SESSIONS);
        let mut urls = self.0.urls().into_iter();
        let first = Redis::builder(urls.next().unwrap()).timeout(Duration::from_secs(10)).near_cache(near);
        let builder = urls.fold(first, |builder, url| builder.and(url));
        let mut stores = Vec::new();
        for _ in 0..MANAGERS {
            stores.push(builder.clone().connect().await.expect("the test's cluster answers"));
        }
        stores
    }

    fn disturb(&mut self, round: usize) {
        let nodes = 0..self.0.nodes.len();
        match round % DISTURBANCES {
            0 => self.0.nodes.iter().for_each(|node| node.ask(&["SCRIPT", "FLUSH"])),
            1 => self.0.nodes.iter().for_each(|node| {
                for kind in ["normal", "pubsub"] {
                    let _: u64 = node.ask(&["CLIENT", "KILL", "TYPE", kind]);
                }
            }),
            2 => self.restart(nodes.clone().find(|node| !self.is_primary(*node)).expect("a replica")),
            3 => {
                // whoever follows takes over without losing anything, and then the one before is restarted
                let follower = nodes.clone().rfind(|node| !self.is_primary(*node)).expect("a replica");
                let port: u16 = self.0.nodes[follower].info("replication", "master_port").parse().unwrap();
                let former = nodes.clone().find(|node| self.0.nodes[*node].port() == port).expect("one of ours");
                until("a replica takes over", || self.takes_over(follower));
                self.restart(former);
            }
            // nothing happens: what was lost has settled
            _ => {}
        }
        self.0.wait_until_well(&nodes.collect::<Vec<_>>());
    }

    fn connections(&self) -> u64 {
        let connected = |node: &RedisServer| {
            // the one that asks does not count
            node.info("clients", "connected_clients").parse::<u64>().expect("a number") - 1
        };
        self.0.nodes.iter().map(connected).sum()
    }

    fn bytes_on_disk(&self) -> u64 {
        0
    }

    fn immortal_keys(&self) -> Vec<String> {
        self.0.immortal_keys()
    }
}

impl InCluster {
    fn is_primary(&self, node: usize) -> bool {
        self.0.nodes[node].info("replication", "role") == "master"
    }

    /// Asks a replica to take over. On a busy machine it may give up, and is asked again.
    fn takes_over(&self, follower: usize) -> bool {
        let _: () = self.0.nodes[follower].ask(&["CLUSTER", "FAILOVER"]);
        (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            self.is_primary(follower)
        })
    }

    fn restart(&mut self, node: usize) {
        self.0.wait_until_replica(node);
        self.0.nodes[node].shutdown();
        self.0.nodes[node].restart();
        self.0.wait_until_replica(node);
    }
}
