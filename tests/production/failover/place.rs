//! Servers with replicas in a network, the first of which can be made to fail and to come back.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use cloakroom::store::{Durability, Redis, RedisBuilder};

use crate::support::cluster::until;
use crate::support::watcher::Scene;
use crate::support::{Network, RedisCluster, RedisServer, Sentinels};

/// How the first primary fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is killed, and started again empty once another one has taken over.
    Killed,
    /// It hangs (SIGSTOP), and goes on later as if nothing had been.
    Stopped,
    /// Neither its peers nor the application reach it, until the network heals.
    CutOff,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Killed => "killed",
            Fault::Stopped => "stopped",
            Fault::CutOff => "cut off",
        })
    }
}

pub(super) enum Servers {
    /// One primary and two replicas.
    Sentinels(Sentinels),
    /// Three primaries, each with a replica.
    Cluster(RedisCluster),
}

pub(super) struct Place {
    servers: Servers,
    network: Network,
    /// The first server has failed, whatever it takes itself for.
    is_away: bool,
}

/// What the servers hold.
#[derive(Default)]
pub(super) struct Held {
    pub(super) scene: Scene,
    /// Every field of the sessions that live, by id.
    pub(super) fields: BTreeMap<String, Fields>,
}

pub(super) type Fields = BTreeMap<String, String>;

/// The one that fails.
const FIRST: usize = 0;

impl Place {
    pub(super) fn with_sentinels() -> Place {
        let network = Network::new();
        Place { servers: Servers::Sentinels(Sentinels::start_in(&network)), network, is_away: false }
    }

    pub(super) fn with_cluster() -> Place {
        let network = Network::new();
        Place { servers: Servers::Cluster(RedisCluster::start_in(&network)), network, is_away: false }
    }

    pub(super) fn builder(&self) -> RedisBuilder {
        let urls = match &self.servers {
            Servers::Sentinels(sentinels) => sentinels.urls(),
            // whoever connects while the first is away would have to wait for it
            Servers::Cluster(cluster) => cluster.urls().split_off(FIRST + 1),
        };
        let builder = Redis::builder(&urls[0]);
        urls[1..].iter().fold(builder, |builder, url| builder.and(url))
    }

    /// What no failover can undo: every replica that may be elected has it.
    pub(super) fn durability(&self) -> Durability {
        let replicas = match &self.servers {
            Servers::Sentinels(_) => 2,
            Servers::Cluster(_) => 1,
        };
        Durability { replicas, on_disk: false, timeout: Duration::from_millis(500) }
    }

    pub(super) fn wait_until_replicated(&self) {
        match &self.servers {
            Servers::Sentinels(sentinels) => sentinels.wait_until_replicated(FIRST),
            Servers::Cluster(cluster) => (0..3).for_each(|primary| cluster.wait_until_replicated(primary)),
        }
    }

    /// What the first primary acknowledges from now on is on no other server.
    pub(super) fn leave_replicas_behind(&self) {
        self.network.leave_replicas_behind(self.data()[FIRST].port());
    }

    pub(super) fn strike(&mut self, fault: Fault) {
        self.is_away = true;
        match fault {
            Fault::Killed => self.data_mut()[FIRST].kill(),
            Fault::Stopped => self.data()[FIRST].pause(),
            Fault::CutOff => {
                let first = &self.data()[FIRST];
                let name = match &self.servers {
                    Servers::Sentinels(_) => String::new(),
                    Servers::Cluster(_) => first.ask(&["CLUSTER", "MYID"]),
                };
                self.network.cut_off(first.port(), name);
            }
        }
    }

    /// Waits until another server has taken over; its number.
    pub(super) fn wait_for_failover(&self) -> usize {
        match &self.servers {
            Servers::Sentinels(sentinels) => sentinels.wait_for_another_primary(FIRST),
            Servers::Cluster(cluster) => {
                let others = [1, 2, 3, 4, 5];
                until("another node has its slots", || {
                    others.iter().all(|asked| cluster.primary_of_slot(0, *asked) != FIRST)
                });
                cluster.wait_until_well(&others);
                self.primary()
            }
        }
    }

    /// The number of the server that has taken over last.
    pub(super) fn primary(&self) -> usize {
        match &self.servers {
            Servers::Sentinels(sentinels) => sentinels.primary(),
            Servers::Cluster(cluster) => cluster.primary_of_slot(0, 1),
        }
    }

    /// Lets the former primary come back, and waits until it has become a replica.
    pub(super) fn bring_back(&mut self, fault: Fault) {
        self.network.heal();
        match fault {
            Fault::Killed => self.data_mut()[FIRST].restart(),
            Fault::Stopped => self.data()[FIRST].resume(),
            Fault::CutOff => {}
        }
        match &self.servers {
            Servers::Sentinels(sentinels) => sentinels.wait_until_replica(FIRST),
            Servers::Cluster(cluster) => {
                cluster.wait_until_replica(FIRST);
                cluster.wait_until_well(&[0, 1, 2, 3, 4, 5]);
            }
        }
        self.is_away = false;
    }

    /// All that the primaries hold.
    pub(super) fn look(&self) -> Held {
        let mut held = Held::default();
        let present = self.data().iter().skip(usize::from(self.is_away));
        let primaries = present.filter(|server| server.info("replication", "role") == "master");
        for mut client in primaries.map(RedisServer::client) {
            let scene = Scene::of_redis(&mut client);
            let mut flight = redis::pipe();
            for id in scene.sessions.keys() {
                flight.hgetall(format!("session:{id}"));
            }
            let fields: Vec<Fields> = flight.query(&mut client).expect("the primary answers");
            held.fields.extend(scene.sessions.keys().cloned().zip(fields));
            held.scene.sessions.extend(scene.sessions);
            held.scene.index.extend(scene.index);
            held.scene.immortal.extend(scene.immortal);
        }
        held
    }

    fn data(&self) -> &Vec<RedisServer> {
        match &self.servers {
            Servers::Sentinels(sentinels) => &sentinels.servers,
            Servers::Cluster(cluster) => &cluster.nodes,
        }
    }

    fn data_mut(&mut self) -> &mut Vec<RedisServer> {
        match &mut self.servers {
            Servers::Sentinels(sentinels) => &mut sentinels.servers,
            Servers::Cluster(cluster) => &mut cluster.nodes,
        }
    }
}
