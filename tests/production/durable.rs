//! Revokes that wait until replicas have them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use cloakroom::store::{Durability, Redis, RedisBuilder, Store, Target};
use cloakroom::{Config, Error, Field, Session, Sessions, store::StoreError};

use crate::support::cluster::{slot_of, until};
use crate::support::{Browser, RedisCluster, RedisServer};
use crate::{Kept, PATIENT, SHORT, key_of, move_around, user_of};

/// A primary and its only replica.
struct Pair {
    primary: RedisServer,
    replica: RedisServer,
}

impl Pair {
    fn start(settings: &[&str]) -> Pair {
        let primary = RedisServer::start_with(&[&["--repl-diskless-sync-delay", "0"], settings].concat());
        let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &primary.port().to_string()]);
        until("the replica follows", || primary.info("replication", "slave0").contains("state=online"));
        Pair { primary, replica }
    }

    fn builder(&self, replicas: u32, timeout: Duration) -> RedisBuilder {
        let durability = Durability { replicas, on_disk: false, timeout };
        Redis::builder(self.primary.url()).timeout(PATIENT).durable_revokes(durability)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.replica.resume();
    }
}

#[tokio::test]
async fn a_durable_revoke_is_done_once_the_replica_has_it() {
    let pair = Pair::start(&[]);
    let kept = Kept::on(pair.builder(1, PATIENT)).await;
    for presented in kept.sessions(20).await {
        assert_eq!(kept.revoke(&presented).await.unwrap(), 1);
        assert_eq!(pair.replica.ask::<u64>(&["EXISTS", &key_of(&presented)]), 0);
        assert_eq!(kept.revoke(&presented).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn one_store_revokes_durably_or_not_as_each_revoke_wants_it() {
    let pair = Pair::start(&[]);
    let durability = |replicas, timeout| Durability { replicas, on_disk: false, timeout };
    let plain = Redis::builder(pair.primary.url()).timeout(PATIENT).connect().await.unwrap();
    let kept = Kept::on(pair.builder(1, PATIENT)).await;
    let sessions = kept.sessions(4).await;
    let connections = || pair.primary.info("clients", "connected_clients").parse::<u32>().unwrap();
    let before = connections();
    let revoke = async |store: &Redis, number: usize| store.revoke(&Target::Session(sessions[number].id)).await;

    let one = plain.with_durable_revokes(durability(1, PATIENT)).unwrap();
    assert_eq!(revoke(&one, 0).await.unwrap(), 1);
    assert_eq!(pair.replica.ask::<u64>(&["EXISTS", &key_of(&sessions[0])]), 0);
    let two = one.with_durable_revokes(durability(2, Duration::from_millis(50))).unwrap();
    let error = revoke(&two, 1).await.unwrap_err();
    assert!(error.is_not_durable() && error.to_string().contains("1 of 2 replicas"), "{error}");
    assert_eq!(revoke(&two.with_durable_revokes(None).unwrap(), 2).await.unwrap(), 1);
    assert_eq!(revoke(&one, 3).await.unwrap(), 1);
    assert_eq!(connections() - before, 2, "one for each durability, and none for each revoke");

    // however many are made up, they do not add up
    for millis in 1..20 {
        let some = plain.with_durable_revokes(durability(1, PATIENT + Duration::from_millis(millis))).unwrap();
        assert_eq!(revoke(&some, 0).await.unwrap(), 0);
    }
    until("the connections are closed", || connections() - before <= 4);
    let refused = plain.with_durable_revokes(durability(1, Duration::ZERO)).unwrap_err();
    assert!(refused.to_string().contains("durable_revokes"), "{refused}");
}

#[tokio::test]
async fn a_durable_revoke_without_its_replica_has_ended_the_session_and_says_what_is_missing() {
    let pair = Pair::start(&[]);
    let kept = Kept::on(pair.builder(1, Duration::from_millis(200))).await;
    let one_too_many = Kept::on(pair.builder(2, Duration::from_secs(3))).await;
    let sessions = kept.sessions(3).await;
    let error = one_too_many.revoke(&sessions[0]).await.unwrap_err();
    assert!(error.is_not_durable() && error.to_string().contains("1 of 2 replicas"), "{error}");
    pair.replica.pause();
    let error = kept.revoke(&sessions[1]).await.unwrap_err();
    assert!(error.is_not_durable() && !error.is_unknown(), "{error}");
    assert!(error.to_string().contains("0 of 1 replicas"), "{error}");
    assert!(!kept.lives(&sessions[0]).await && !kept.lives(&sessions[1]).await);
    for _ in 0..2 {
        kept.sign_in("ada", 10).await.unwrap();
    }
    let error = kept.store.revoke(&Target::AllOf(user_of("ada"))).await.unwrap_err();
    assert!(error.is_not_durable() && error.ended() == 2, "{error}");
    pair.replica.resume();
    // the wait may still be too short for a busy machine, but the session ends in any case
    until("a replica answers again", || {
        let lag = pair.primary.info("replication", "slave0");
        lag.contains("lag=0") || lag.contains("lag=1")
    });
    let answer = kept.revoke(&sessions[2]).await;
    assert!(answer.as_ref().map_or_else(StoreError::is_not_durable, |ended| *ended == 1), "{answer:?}");
    assert!(!kept.lives(&sessions[2]).await);
}

#[tokio::test]
async fn a_sign_out_that_is_not_durable_is_an_error_that_takes_the_cookie_all_the_same() {
    const NAME: Field<String> = Field::new("name");
    let pair = Pair::start(&[]);
    let kept = Kept::on(pair.builder(1, Duration::from_millis(200))).await;
    let sessions = Sessions::new(kept.store.clone(), Config::builder().store_timeout(PATIENT).build().unwrap());
    let sign_in = async |session: Session| {
        session.set(NAME, "andrew")?;
        session.sign_in("andrew").await
    };
    let app = Router::new()
        .route("/in", get(sign_in))
        .route("/out", get(async |session: Session| session.sign_out().await))
        .route("/everywhere", get(async |session: Session| session.sign_out_everywhere().await.map(drop)))
        .route("/name", get(async |session: Session| Ok::<_, Error>(format!("{:?}", session.get(NAME)?))))
        .layer(sessions.layer());
    for way_out in ["/out", "/everywhere"] {
        let browser = Browser::new(app.clone());
        browser.visit("/in").await;
        let token = browser.token().expect("a cookie");
        pair.replica.pause();
        let answer = browser.get(way_out).await;
        assert_eq!(answer.status, 503);
        assert!(answer.error.as_ref().is_some_and(Error::is_not_durable), "{:?}", answer.error);
        assert_eq!(browser.token(), None, "the cookie is removed");
        let stolen = browser.send("/name", Some(&format!("__Host-sid={token}"))).await;
        assert_eq!(stolen.body, "None", "the session has ended");
        pair.replica.resume();
    }
}

#[tokio::test]
async fn a_hundred_durable_revokes_at_once_do_not_wait_one_after_the_other() {
    const MANY: u32 = 100;
    const WAIT: Duration = Duration::from_millis(400);
    let pair = Pair::start(&[]);
    let kept = Kept::on(pair.builder(1, WAIT)).await;
    for _ in 0..MANY {
        kept.sign_in("andrew", 1000).await.unwrap();
    }
    pair.replica.pause();
    let begin = Instant::now();
    let error = kept.store.revoke(&Target::AllOf(user_of("andrew"))).await.unwrap_err();
    assert!(error.is_not_durable(), "{error}");
    assert!(begin.elapsed() < WAIT * MANY / 4, "{:?}", begin.elapsed());
    assert_eq!(kept.devices("andrew").await, 0, "all have ended");
}

#[tokio::test]
async fn a_durable_revoke_that_is_dropped_holds_up_none_after_it() {
    let pair = Pair::start(&[]);
    let kept = Kept::on(pair.builder(1, PATIENT)).await;
    let sessions = kept.sessions(2).await;
    pair.replica.pause();
    let revoke = kept.revoke(&sessions[0]);
    assert!(tokio::time::timeout(SHORT, revoke).await.is_err(), "there is nobody to wait for");
    assert!(!kept.lives(&sessions[0]).await);
    let begin = Instant::now();
    let _ = tokio::time::timeout(SHORT, kept.revoke(&sessions[1])).await;
    assert!(!kept.lives(&sessions[1]).await, "it was done at once: {:?}", begin.elapsed());
}

#[tokio::test]
async fn a_sign_in_that_makes_room_needs_no_replica() {
    let pair = Pair::start(&[]);
    let kept = Kept::on(pair.builder(1, Duration::from_millis(200))).await;
    let first = kept.sign_in("andrew", 2).await.unwrap();
    kept.sign_in("andrew", 2).await.unwrap();
    pair.replica.pause();
    let third = kept.sign_in("andrew", 2).await.expect("the limit is kept without replicas");
    assert!(!kept.lives(&first).await && kept.lives(&third).await);
}

#[tokio::test]
async fn a_revoke_that_waits_for_disks_is_done_or_says_that_the_server_cannot() {
    let pair = Pair::start(&["--appendonly", "yes"]);
    let knows: Vec<redis::Value> = pair.primary.ask(&["COMMAND", "INFO", "WAITAOF"]);
    let durability = Durability { replicas: 0, on_disk: true, timeout: PATIENT };
    let builder = Redis::builder(pair.primary.url()).timeout(PATIENT).durable_revokes(durability);
    let kept = Kept::on(builder).await;
    for presented in kept.sessions(3).await {
        match (&knows[0], kept.revoke(&presented).await) {
            (redis::Value::Nil, Err(error)) => {
                assert!(error.is_not_durable() && error.to_string().contains("WAITAOF"), "{error}");
            }
            (redis::Value::Nil, Ok(_)) => panic!("it has not waited"),
            (_, answer) => assert_eq!(answer.unwrap(), 1),
        }
        assert!(!kept.lives(&presented).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_durable_revoke_in_a_slot_that_moves_waits_as_well() {
    let cluster = RedisCluster::start();
    let durability = Durability { replicas: 1, on_disk: false, timeout: Duration::from_millis(500) };
    let builder = Redis::builder(cluster.nodes[0].url()).timeout(PATIENT).durable_revokes(durability);
    let kept = Kept::on(builder).await;
    let sessions = kept.sessions(8).await;
    let target = |presented| (cluster.primary_of(&key_of(presented), 0) + 1) % 3;
    let (whole, alone) = sessions.split_at(4);
    for presented in whole {
        let (slot, to) = (slot_of(&key_of(presented)), target(presented));
        let revoked = move_around(&cluster, slot, to, async || kept.revoke(presented).await);
        assert_eq!(revoked.unwrap(), 1);
    }
    // the target's replica hangs, for shorter than the cluster would notice
    for presented in alone {
        let (slot, to) = (slot_of(&key_of(presented)), target(presented));
        let revoked = move_around(&cluster, slot, to, async || {
            // only now: to begin and to end a move, Valkey waits for the replicas as well
            cluster.nodes[to + 3].pause();
            let revoked = kept.revoke(presented).await;
            cluster.nodes[to + 3].resume();
            revoked
        });
        assert!(revoked.unwrap_err().is_not_durable());
    }
    for presented in &sessions {
        assert!(!kept.lives(presented).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_that_lives_on_outweighs_one_that_is_not_durably_revoked() {
    let mut cluster = RedisCluster::without_replicas(async |_| Vec::new()).await;
    let durability = Durability { replicas: 1, on_disk: false, timeout: Duration::from_millis(100) };
    let builder = Redis::builder(cluster.nodes[0].url()).timeout(SHORT).durable_revokes(durability);
    let kept = Kept::on(builder).await;
    let killed = 2;
    let has_index = |user: &String| cluster.primary_of(&format!("session:user:{user}"), 0) != killed;
    let users: Vec<_> = (0..).map(|number| number.to_string()).filter(has_index).take(6).collect();
    for user in &users {
        let mut nodes = BTreeSet::new();
        while nodes.len() < 3 {
            let presented = kept.sign_in(user, 1000).await.unwrap();
            nodes.insert(cluster.primary_of(&key_of(&presented), 0));
        }
    }
    cluster.nodes[killed].kill();
    for user in users {
        let error = kept.store.revoke(&Target::AllOf(user_of(&user))).await.unwrap_err();
        assert!(!error.is_not_durable(), "some have not ended: {error}");
    }
}
