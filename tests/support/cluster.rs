//! A real cluster of a test's own: three primaries, each with a replica, on free loopback ports.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use super::{Network, RedisServer};

/// The first three are born as primaries; the replica of node `n` is node `n + 3`.
pub struct RedisCluster {
    pub nodes: Vec<RedisServer>,
    /// The ports by which the nodes are known, to clients and on the cluster's bus.
    announced: Vec<(u16, u16)>,
}

const PRIMARIES: usize = 3;
const SLOTS: usize = 16384;

impl RedisCluster {
    /// Starts the cluster, and waits until every node knows that all is well.
    pub fn start() -> RedisCluster {
        RedisCluster::start_with(&[])
    }

    /// Starts a cluster with more settings for every node.
    pub fn start_with(settings: &[&str]) -> RedisCluster {
        let settings = [&["--cluster-node-timeout", "1500"], settings].concat();
        RedisCluster::start_announced(&settings, |port| (port, port + 10_000))
    }

    /// Starts a cluster with a network around its nodes, which is also more patient with nodes that are busy.
    pub fn start_in(network: &Network) -> RedisCluster {
        let settings = ["--cluster-node-timeout", "3000"];
        RedisCluster::start_announced(&settings, |port| (network.before(port), network.before_bus(port)))
    }

    fn start_announced(settings: &[&str], announce: impl Fn(u16) -> (u16, u16)) -> RedisCluster {
        let mut all = vec!["--cluster-enabled", "yes"];
        all.extend(["--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"]);
        all.extend(settings);
        // the cluster does not show a replica that has heard nothing yet from its primary
        all.extend(["--repl-ping-replica-period", "1"]);
        let (mut nodes, mut announced) = (Vec::new(), Vec::new());
        for _ in 0..2 * PRIMARIES {
            let port = free_port();
            let known = announce(port);
            let (clients, bus) = (known.0.to_string(), known.1.to_string());
            let own = ["--cluster-announce-port", &clients, "--cluster-announce-bus-port", &bus];
            nodes.push(RedisServer::launch(port, &[&all[..], &own].concat()));
            announced.push(known);
        }
        RedisCluster { nodes, announced }.formed()
    }

    /// Starts three primaries without replicas. When one is away, the others go on serving. `settings` gives each node more
    /// settings, by its port.
    pub async fn without_replicas(mut settings: impl AsyncFnMut(u16) -> Vec<String>) -> RedisCluster {
        let mut nodes = Vec::new();
        for _ in 0..PRIMARIES {
            let port = free_port();
            let own = settings(port).await;
            let mut all = vec!["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"];
            all.extend(own.iter().map(String::as_str));
            nodes.push(RedisServer::launch(port, &all));
        }
        let announced = nodes.iter().map(|node| (node.port(), node.port() + 10_000)).collect();
        RedisCluster { nodes, announced }.formed()
    }

    fn formed(self) -> RedisCluster {
        self.nodes.iter().for_each(RedisServer::wait_until_it_answers);
        self.form();
        self
    }

    /// A URL of each node.
    pub fn urls(&self) -> Vec<String> {
        self.announced.iter().map(|(port, _)| format!("redis://127.0.0.1:{port}")).collect()
    }

    /// The node that has the slot of a key, as node `asked` sees it.
    pub fn primary_of(&self, key: &str, asked: usize) -> usize {
        let slot: u16 = self.nodes[asked].ask(&["CLUSTER", "KEYSLOT", key]);
        self.primary_of_slot(slot, asked)
    }

    pub fn primary_of_slot(&self, slot: u16, asked: usize) -> usize {
        let ranges: Vec<Vec<redis::Value>> = self.nodes[asked].ask(&["CLUSTER", "SLOTS"]);
        for range in ranges {
            let bound = |at: usize| redis::from_redis_value::<u16>(range[at].clone()).unwrap();
            if (bound(0)..=bound(1)).contains(&slot) {
                let primary: Vec<redis::Value> = redis::from_redis_value(range[2].clone()).unwrap();
                let port: u16 = redis::from_redis_value(primary[1].clone()).unwrap();
                return self.announced.iter().position(|known| known.0 == port).expect("one of ours");
            }
        }
        panic!("nobody has slot {slot}");
    }

    /// Moves a slot with all its keys, one after the other, as `redis-cli --cluster reshard` does. `midway` is called
    /// when it is half done.
    pub fn move_slot(&self, slot: u16, from: usize, to: usize, midway: impl FnOnce()) {
        let slot = &slot.to_string();
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        let (source_id, target_id): (String, String) =
            (source.ask(&["CLUSTER", "MYID"]), target.ask(&["CLUSTER", "MYID"]));
        let _: () = target.ask(&["CLUSTER", "SETSLOT", slot, "IMPORTING", &source_id]);
        let _: () = source.ask(&["CLUSTER", "SETSLOT", slot, "MIGRATING", &target_id]);
        let keys_there = || source.ask::<Vec<String>>(&["CLUSTER", "GETKEYSINSLOT", slot, "100"]);
        let migrate = |keys: &[String]| {
            for key in keys {
                let _: () = source.ask(&["MIGRATE", "127.0.0.1", &target.port().to_string(), key, "0", "5000"]);
            }
        };
        let keys = keys_there();
        migrate(&keys[..keys.len().div_ceil(2)]);
        midway();
        loop {
            let keys = keys_there();
            if keys.is_empty() {
                break;
            }
            migrate(&keys);
        }
        for node in [target, source] {
            let _: () = node.ask(&["CLUSTER", "SETSLOT", slot, "NODE", &target_id]);
        }
        // A node that takes a slot also takes the next epoch that it knows to be free. If two nodes take the same epoch,
        // they settle that between them, and one of them claims back a slot that it gave away. So every node learns of an
        // epoch before the next move.
        until("all primaries know of the new epoch", || {
            self.nodes[..PRIMARIES].iter().map(|node| epoch_of(&target_id, node)).collect::<BTreeSet<_>>().len() == 1
        });
    }

    /// Waits until all these nodes say that the cluster works.
    pub fn wait_until_well(&self, asked: &[usize]) {
        until("the cluster works", || {
            asked.iter().all(|node| {
                let info: String = self.nodes[*node].ask(&["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok")
            })
        });
    }

    /// How often the nodes that answer have said that a key is on another node.
    pub fn redirections(&self) -> u64 {
        let count = |node: &RedisServer, kind: &str| {
            let said = node.info("errorstats", &format!("errorstat_{kind}"));
            said.strip_prefix("count=").map_or(0, |count| count.parse().unwrap())
        };
        self.nodes.iter().map(|node| count(node, "MOVED") + count(node, "ASK")).sum()
    }

    /// Waits until a replica has everything that this node has.
    pub fn wait_until_replicated(&self, node: usize) {
        let offset = |name: &str| self.nodes[node].info("replication", name);
        until("a replica has everything", || {
            offset("slave0").split(',').any(|part| part.strip_prefix("offset=") == Some(&offset("master_repl_offset")))
        });
    }

    /// Waits until this node follows another one.
    pub fn wait_until_replica(&self, node: usize) {
        until("the node is a replica", || {
            let info = |name: &str| self.nodes[node].info("replication", name);
            info("role") == "slave" && info("master_link_status") == "up"
        });
    }

    /// The keys that would live for ever, on any primary.
    pub fn immortal_keys(&self) -> Vec<String> {
        let primaries = self.nodes.iter().filter(|node| node.info("replication", "role") == "master");
        primaries.flat_map(RedisServer::immortal_keys).collect()
    }

    fn form(&self) {
        let part = SLOTS.div_ceil(PRIMARIES);
        for (number, node) in self.nodes.iter().enumerate() {
            let _: () = node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
            let slots = (0..SLOTS).skip(number * part).take(part).map(|slot| slot.to_string());
            let slots: Vec<_> = slots.collect();
            if !slots.is_empty() {
                let command = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str));
                let _: () = node.ask(&command.collect::<Vec<_>>());
            }
            let (port, bus) = (self.announced[number].0.to_string(), self.announced[number].1.to_string());
            let _: () = self.nodes[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        until("all nodes know each other", || {
            self.nodes.iter().all(|node| {
                let known: String = node.ask(&["CLUSTER", "NODES"]);
                let ids: BTreeSet<_> = known.lines().filter(|line| !line.contains("handshake")).collect();
                ids.len() == self.nodes.len()
            })
        });
        for (primary, replica) in self.nodes.iter().zip(&self.nodes[PRIMARIES..]) {
            let id: String = primary.ask(&["CLUSTER", "MYID"]);
            let _: () = replica.ask(&["CLUSTER", "REPLICATE", &id]);
        }
        self.wait_until_well(&(0..self.nodes.len()).collect::<Vec<_>>());
        until("all replicas have what their primaries have", || {
            let replicas_up =
                self.nodes[PRIMARIES..].iter().all(|node| node.info("replication", "master_link_status") == "up");
            let sees_them = |node: &RedisServer| {
                let ranges: Vec<Vec<redis::Value>> = node.ask(&["CLUSTER", "SLOTS"]);
                let members = 2 + self.nodes.len() / PRIMARIES;
                ranges.len() == PRIMARIES && ranges.iter().all(|range| range.len() == members)
            };
            replicas_up && self.nodes.iter().all(sees_them)
        });
    }
}

const PATIENCE: Duration = Duration::from_secs(120);

/// Waits for something that takes a few seconds at most, or somewhat longer on a busy machine.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("within {PATIENCE:?} it did not happen that {what}");
}

/// The epoch of a node, as another one has heard of it.
fn epoch_of(id: &str, asked: &RedisServer) -> u64 {
    let nodes: String = asked.ask(&["CLUSTER", "NODES"]);
    let line = nodes.lines().find(|line| line.starts_with(id)).expect("a node that is known");
    line.split(' ').nth(6).expect("an epoch").parse().expect("a number")
}

/// The slot of a key without braces, as the cluster specification defines it.
pub fn slot_of(key: &str) -> u16 {
    let crc = key.bytes().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| (crc << 1) ^ if crc & 0x8000 != 0 { 0x1021 } else { 0 })
    });
    crc % SLOTS as u16
}

/// A port that is free together with the port of the cluster's bus. Both are below the ports that the system hands out, so
/// that nobody is given the second one meanwhile.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let of_process = (std::process::id() as u16).wrapping_mul(37);
    loop {
        let port = 10_500 + of_process.wrapping_add(NEXT.fetch_add(1, Ordering::SeqCst)) % 10_000;
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
}
