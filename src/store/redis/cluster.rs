//! A cluster: many servers, each with a part of the keys. This module knows which server has which keys, and follows the
//! servers when they point to another one.
//!
//! The routing is our own, although the client library has routing too. The library repeats a command whose answer was lost
//! (one HINCRBY with three lost replies became 4), and it has no setting to follow redirections and do nothing else.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use redis::Value;
use tokio::sync::Notify;

use super::client_error::reason;
use super::dial::Dialer;
use super::durable::Durability;
use super::endpoint::Endpoint;
use super::link::{Answer, Elsewhere, Failure, Link};
use super::near::Near;
use super::question::Question;
use crate::error::StoreError;

const SLOTS: u16 = 16384;
/// How many servers a question asks at most while it follows redirections. A failover needs one redirection, and a slot that
/// moves needs one or two. While a slot is handed over, its two servers may point at each other for a moment. The question waits
/// until that is over.
const MOST_HOPS: usize = 16;
/// How long to wait when a server asks to try again soon.
const SOON: Duration = Duration::from_millis(10);
/// The pauses between two updates of the map: the first while a primary is away, the second when all primaries are up.
const WHILE_AWAY: Duration = Duration::from_millis(200);
const WHEN_WELL: Duration = Duration::from_secs(30);

pub(super) struct Cluster {
    dialer: Dialer,
    near: Option<Arc<Near>>,
    timeout: Duration,
    // never held across an await
    map: RwLock<Map>,
    /// Tells that a slot has moved or a server is away, so that the map must be updated.
    changed: Arc<Notify>,
}

#[derive(Default)]
struct Map {
    /// The ranges of slots: the first slot, the last slot, and the address of their primary.
    ranges: Vec<(u16, u16, String)>,
    links: HashMap<String, Link>,
}

impl Cluster {
    /// Finds all primaries from the first address that answers.
    pub(super) async fn connect(
        dialer: Dialer,
        near: Option<Arc<Near>>,
        seeds: Vec<String>,
        timeout: Duration,
    ) -> Result<Arc<Cluster>, StoreError> {
        let changed = Arc::new(Notify::new());
        let cluster = Arc::new(Cluster { dialer, near, timeout, map: RwLock::default(), changed });
        let mut failure = StoreError::new("no address of the cluster was given");
        for seed in &seeds {
            match cluster.link_to(seed).await {
                Ok(_) => {}
                Err(error) => failure = error,
            }
        }
        if !cluster.redraw().await {
            return Err(failure);
        }
        cluster.check_plain_text()?;
        tokio::spawn(watch(Arc::downgrade(&cluster), seeds));
        Ok(cluster)
    }

    /// Checks that plain text may be sent to every primary. If not, connecting must fail now, because no later attempt can
    /// reach that primary either.
    fn check_plain_text(&self) -> Result<(), StoreError> {
        for (address, _) in self.primaries() {
            let checked = self.dialer.to(&address).and_then(|dialer| dialer.check_plain_text());
            checked.map_err(|error| StoreError::new(reason(&error)))?;
        }
        Ok(())
    }

    /// Asks the server that has the key's slot, and follows its redirections.
    pub(super) async fn ask(
        &self,
        key: &str,
        question: Question<'_>,
        durability: Option<&Durability>,
    ) -> Result<Answer, StoreError> {
        let slot = slot_of(key);
        let mut address = self.primary_of(slot)?;
        let mut migrating = false;
        for hop in 0..MOST_HOPS {
            if hop > 2 {
                tokio::time::sleep(SOON).await;
            }
            let link = self.link_to(&address).await?;
            let answer = match durability {
                // this opens a connection of its own, which no task watches or re-makes
                _ if migrating => link.ask_during_migration(question, durability).await,
                None => link.answer(question).await,
                Some(durability) => link.ask_durably(question, durability).await,
            };
            let Failure { error, elsewhere, .. } = match answer {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            migrating = matches!(elsewhere, Some(Elsewhere::Ask(_)));
            match elsewhere {
                Some(Elsewhere::Moved(to)) => {
                    self.moved(slot, &to);
                    address = to;
                }
                Some(Elsewhere::Ask(to)) => address = to,
                Some(Elsewhere::Soon) => tokio::time::sleep(SOON).await,
                Some(Elsewhere::Demoted) => {
                    self.changed.notify_one();
                    return Err(error);
                }
                None => return Err(error),
            }
        }
        Err(StoreError::new(format!("slot {slot} of the cluster is pointed from server to server")))
    }

    /// Guesses the time of the server that has the key's slot. `None` if that server was never asked.
    pub(super) fn guess_time(&self, key: &str) -> Option<SystemTime> {
        let address = self.primary_of(slot_of(key)).ok()?;
        self.map.read().unwrap_or_else(PoisonError::into_inner).links.get(&address)?.guess_time()
    }

    /// Returns the address and the connection of every primary, for operations on all keys. The connection is `None` if the
    /// primary could not be reached yet.
    pub(super) fn primaries(&self) -> Vec<(String, Option<Link>)> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        let addresses: HashSet<_> = map.ranges.iter().map(|(_, _, address)| address).collect();
        addresses.into_iter().map(|address| (address.clone(), map.links.get(address).cloned())).collect()
    }

    fn primary_of(&self, slot: u16) -> Result<String, StoreError> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        let range = map.ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot));
        range.map(|(_, _, address)| address.clone()).ok_or_else(|| {
            self.changed.notify_one();
            StoreError::new(format!("no server of the cluster has slot {slot}"))
        })
    }

    /// Returns the connection to a node. If there is no connection yet, this makes one.
    async fn link_to(&self, address: &str) -> Result<Link, StoreError> {
        let known = self.map.read().unwrap_or_else(PoisonError::into_inner).links.get(address).cloned();
        if let Some(link) = known {
            return Ok(link);
        }
        let endpoint = Endpoint::to_node(&self.dialer, address, self.near.clone());
        let endpoint = endpoint.map_err(|error| StoreError::new(reason(&error)))?;
        let link = Link::connect(endpoint, self.timeout, Some(self.changed.clone()))
            .await
            .inspect_err(|_| self.changed.notify_one())?;
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        Ok(map.links.entry(address.to_owned()).or_insert(link).clone())
    }

    /// Notes the new server of one slot, and has the map updated, because other slots have probably moved too.
    fn moved(&self, slot: u16, to: &str) {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        map.ranges.insert(0, (slot, slot, to.to_owned()));
        drop(map);
        self.changed.notify_one();
    }

    /// Updates the map from the first server that can tell it. Returns whether a server could.
    async fn redraw(&self) -> bool {
        let links: Vec<_> = self.map.read().unwrap_or_else(PoisonError::into_inner).links.clone().into_iter().collect();
        let query = redis::cmd("CLUSTER").arg("SLOTS").clone();
        for (address, link) in links.iter().filter(|(_, link)| link.is_up()) {
            let Ok(answer) = link.ask(Question::Command(&query)).await else { continue };
            let Some(ranges) = ranges_of(answer, address) else { continue };
            let addresses: HashSet<_> = ranges.iter().map(|(_, _, address)| address.clone()).collect();
            // if a server cannot be reached now, the calls to it fail, and a later update tries it again
            join_all(addresses.iter().map(|address| self.link_to(address))).await;
            let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
            map.links.retain(|address, link| addresses.contains(address) || link.is_up());
            map.ranges = ranges;
            return true;
        }
        false
    }

    fn is_well(&self) -> bool {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        map.ranges.iter().all(|(_, _, address)| map.links.get(address).is_some_and(Link::is_up))
    }
}

impl Drop for Cluster {
    /// Wakes the task in `watch`, which would otherwise notice the end of the cluster only after its pause.
    fn drop(&mut self) {
        self.changed.notify_one();
    }
}

/// Updates the map when something changes, and also regularly: more often while a primary is away. Ends when nobody holds the
/// cluster any more.
async fn watch(cluster: Weak<Cluster>, seeds: Vec<String>) {
    loop {
        let Some(strong) = cluster.upgrade() else { return };
        let (changed, pause) = (strong.changed.clone(), if strong.is_well() { WHEN_WELL } else { WHILE_AWAY });
        drop(strong);
        let _ = tokio::time::timeout(pause, changed.notified()).await;
        let Some(cluster) = cluster.upgrade() else { return };
        if !cluster.redraw().await {
            // all known servers are away, but perhaps the servers of the configuration can be reached
            join_all(seeds.iter().map(|seed| cluster.link_to(seed))).await;
        }
        // many questions fail at once when a server goes away, and one update is enough for all of them
        tokio::time::sleep(SOON).await;
    }
}

/// Reads the answer of CLUSTER SLOTS. If a server does not know its own host, the host in `asked` is used.
fn ranges_of(answer: Value, asked: &str) -> Option<Vec<(u16, u16, String)>> {
    let Value::Array(ranges) = answer else { return None };
    let ranges: Option<Vec<_>> = ranges.into_iter().map(|range| range_of(range, asked)).collect();
    ranges.filter(|ranges| !ranges.is_empty())
}

fn range_of(range: Value, asked: &str) -> Option<(u16, u16, String)> {
    let Value::Array(parts) = range else { return None };
    let mut parts = parts.into_iter();
    let first: u16 = redis::from_redis_value(parts.next()?).ok()?;
    let last: u16 = redis::from_redis_value(parts.next()?).ok()?;
    let Value::Array(primary) = parts.next()? else { return None };
    let mut primary = primary.into_iter();
    let host: Option<String> = redis::from_redis_value(primary.next()?).ok()?;
    let port: u16 = redis::from_redis_value(primary.next()?).ok()?;
    let own_host = asked.rsplit_once(':')?.0;
    let host = host.filter(|host| !host.is_empty() && host != "?").unwrap_or_else(|| own_host.to_owned());
    Some((first, last, format!("{host}:{port}")))
}

/// Returns the slot of a key. If the key has a part in braces, only this part decides.
fn slot_of(key: &str) -> u16 {
    let tagged = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    let hashed = tagged.filter(|tag| !tag.is_empty()).unwrap_or(key);
    crc16::State::<crc16::XMODEM>::calculate(hashed.as_bytes()) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = "10.0.0.1:7000";

    /// Returns a range as CLUSTER SLOTS answers it: the primary, and after it a replica.
    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let node = |host, port| Value::Array(vec![host, Value::Int(port), text("an id"), Value::Array(Vec::new())]);
        Value::Array(vec![Value::Int(first), Value::Int(last), node(host, port), node(text("10.0.0.9"), 7009)])
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn each_range_of_slots_is_asked_of_its_primary() {
        let answer = Value::Array(vec![
            range(0, 5460, text("10.0.0.2"), 7002),
            range(5461, 16383, text("node.example.com"), 7003),
        ]);
        let expected = vec![(0, 5460, "10.0.0.2:7002".to_owned()), (5461, 16383, "node.example.com:7003".to_owned())];
        assert_eq!(ranges_of(answer, ASKED), Some(expected));
    }

    #[test]
    fn a_primary_that_does_not_know_its_own_address_is_where_it_was_asked() {
        for host in [Value::Nil, text(""), text("?")] {
            let answer = Value::Array(vec![range(0, 16383, host, 7002)]);
            assert_eq!(ranges_of(answer, ASKED), Some(vec![(0, 16383, "10.0.0.1:7002".to_owned())]));
        }
    }

    #[test]
    fn what_names_no_slots_is_no_map() {
        let without_primary = Value::Array(vec![Value::Int(0), Value::Int(16383)]);
        for answer in [Vec::new(), vec![text("0")], vec![without_primary]] {
            assert_eq!(ranges_of(Value::Array(answer), ASKED), None);
        }
        assert_eq!(ranges_of(Value::Okay, ASKED), None);
    }

    #[test]
    fn a_key_has_the_slot_that_the_cluster_specification_gives_it() {
        assert_eq!(slot_of("123456789"), 0x31C3 % SLOTS);
        assert_eq!(slot_of("session:user:{x}"), slot_of("x"));
        assert_eq!(
            slot_of("session:user:a{}b"),
            crc16::State::<crc16::XMODEM>::calculate(b"session:user:a{}b") % SLOTS
        );
        assert_eq!(slot_of("foo{{bar}}zap"), slot_of("{bar"));
        assert_eq!(slot_of("foo{bar}{zap}"), slot_of("bar"));
    }
}
