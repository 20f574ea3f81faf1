//! A former primary that still answers: behind a name or a virtual address that leads to another server by now, connections
//! stay where they are.

use std::time::Duration;

use cloakroom::store::{Durability, NearCache, Redis, RedisBuilder};

use crate::support::cluster::until;
use crate::support::{FaultProxy, RedisServer};
use crate::{Kept, PATIENT, key_of};

/// Two servers, and an address that leads to the first.
struct Pair {
    former: RedisServer,
    new: RedisServer,
    address: FaultProxy,
}

impl Pair {
    async fn start() -> Pair {
        let former = RedisServer::start_with(&["--repl-diskless-sync-delay", "0"]);
        let new = RedisServer::start_with(&["--replicaof", "127.0.0.1", &former.port().to_string()]);
        until("the replica follows", || former.info("replication", "slave0").contains("state=online"));
        let address = FaultProxy::before(former.port()).await;
        Pair { former, new, address }
    }

    fn builder(&self) -> RedisBuilder {
        Redis::builder(self.address.url()).timeout(PATIENT)
    }

    /// The second becomes the primary. The first becomes a replica that hears nothing from it, and keeps its connections.
    fn promote(&self) {
        until("the replica has everything", || {
            self.former.info("replication", "master_repl_offset") == self.new.info("replication", "master_repl_offset")
        });
        let _: () = self.new.ask(&["REPLICAOF", "NO", "ONE"]);
        let _: () = self.former.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    }

    /// From now on the address leads to the second for new connections.
    fn switch(&self) {
        self.address.switch(self.new.port());
    }

    fn end_on_new(&self, presented: &cloakroom::store::Credentials) {
        assert_eq!(self.new.ask::<u64>(&["DEL", &key_of(presented)]), 1);
    }
}

/// Asks until it is so; a heartbeat finds out within a second.
async fn until_so(what: &str, is_so: impl AsyncFn() -> bool) {
    for _ in 0..3000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen: {what}");
}

#[tokio::test]
async fn the_change_that_meets_a_former_primary_is_made_on_the_new_one() {
    let pair = Pair::start().await;
    let durability = Durability { replicas: 0, on_disk: false, timeout: PATIENT };
    let kept = Kept::on(pair.builder()).await;
    let durable = Kept::on(pair.builder().durable_revokes(durability)).await;
    let presented = kept.session().await;
    let other = durable.session().await;
    assert_eq!(kept.count(&presented).await.unwrap(), 1);
    // its own connection for durable revokes stands, too
    assert_eq!(durable.revoke(&durable.session().await).await.unwrap(), 1);
    pair.promote();
    pair.switch();
    assert_eq!(kept.count(&presented).await.unwrap(), 2, "without a restart, and without an error");
    assert_eq!(pair.new.ask::<String>(&["HGET", &key_of(&presented), "n"]), "2");
    assert_eq!(durable.revoke(&other).await.unwrap(), 1, "a durable revoke as well");
    assert_eq!(pair.new.ask::<u64>(&["EXISTS", &key_of(&other)]), 0);
}

#[tokio::test]
async fn a_request_that_only_reads_is_led_to_the_new_primary_as_well() {
    let pair = Pair::start().await;
    let kept = Kept::on(pair.builder()).await;
    let presented = kept.session().await;
    pair.promote();
    pair.end_on_new(&presented);
    pair.switch();
    until_so("the new primary is asked", async || !kept.lives(&presented).await).await;
}

#[tokio::test]
async fn a_near_cache_serves_nothing_of_a_former_primary() {
    let pair = Pair::start().await;
    let near = NearCache::default().silence_limit(Duration::from_secs(2));
    let kept = Kept::on(pair.builder().near_cache(near)).await;
    let presented = kept.session().await;
    assert!(kept.lives(&presented).await);
    pair.promote();
    pair.end_on_new(&presented);
    pair.switch();
    until_so("the new primary is asked", async || !kept.lives(&presented).await).await;
    assert_eq!(kept.count(&kept.session().await).await.unwrap(), 1);
}

#[tokio::test]
async fn while_an_address_leads_to_a_replica_only_nobody_reads_there() {
    let pair = Pair::start().await;
    let kept = Kept::on(pair.builder()).await;
    let presented = kept.session().await;
    pair.promote();
    until_so("reads fail", async || kept.load(&presented).await.is_err()).await;
    for error in [kept.load(&presented).await.unwrap_err(), kept.count(&presented).await.unwrap_err()] {
        assert!(!error.is_unknown() && error.to_string().contains("is a replica"), "{error}");
    }
    pair.switch();
    assert_eq!(kept.count(&presented).await.unwrap(), 1);
}

#[tokio::test]
async fn a_replica_is_no_place_for_sessions_until_it_is_the_primary() {
    let pair = Pair::start().await;
    let url = pair.new.url();
    let error = Redis::builder(&url).timeout(PATIENT).connect().await.map(drop).unwrap_err();
    assert!(error.is_store() && error.to_string().contains("is a replica"), "{error}");
    let looking = Kept::on(Redis::builder(&url).timeout(PATIENT).accept_replica()).await;
    assert!(!looking.lives(&cloakroom::conformance::mint()).await, "a tool that looks at servers may");
    let kept = Kept::lazily_on(Redis::builder(&url).timeout(PATIENT));
    let error = kept.create().await.unwrap_err();
    assert!(!error.is_unknown() && error.to_string().contains("is a replica"), "{error}");
    let _: () = pair.new.ask(&["REPLICAOF", "NO", "ONE"]);
    let presented = kept.session().await;
    assert_eq!(kept.count(&presented).await.unwrap(), 1);
}
