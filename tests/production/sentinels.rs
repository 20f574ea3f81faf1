//! A primary that is watched by sentinels, dies or hangs, and comes back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom::store::Credentials;
use cloakroom::store::{Durability, Redis, RedisBuilder};

use crate::support::{Network, Sentinels};
use crate::{Kept, PATIENT, SHORT, key_of};

fn builder(sentinels: &Sentinels) -> RedisBuilder {
    builder_from(sentinels, 0)
}

/// That asks this sentinel first.
fn builder_from(sentinels: &Sentinels, first: usize) -> RedisBuilder {
    let url = |number: usize| sentinels.urls().swap_remove(number % 3);
    Redis::builder(url(first)).and(url(first + 1)).and(url(first + 2))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_primary_that_dies_or_hangs_is_replaced_without_a_restart() {
    let mut sentinels = Sentinels::start();
    let kept = Kept::on(builder(&sentinels).timeout(SHORT)).await;
    let sessions = kept.sessions(20).await;
    let mut count = 0;
    // a sentinel that hangs holds nobody up
    sentinels.pause_first_sentinel();
    let mut former = Vec::new();
    for hangs in [false, true] {
        count += 1;
        for presented in &sessions {
            assert_eq!(kept.count(presented).await.unwrap(), count);
        }
        let old = sentinels.primary();
        sentinels.wait_until_replicated(old);
        match hangs {
            true => sentinels.servers[old].pause(),
            false => sentinels.servers[old].kill(),
        }
        let failed = kept.until_it_answers(&sessions[0]).await;
        eprintln!("{failed} calls failed meanwhile");
        assert!(failed > 20, "calls fail at once while there is no primary: only {failed} did");
        sentinels.wait_for_another_primary(old);
        count += 1;
        for presented in &sessions {
            assert_eq!(kept.count(presented).await.unwrap(), count, "what the replicas had is there");
        }
        match hangs {
            true => sentinels.servers[old].resume(),
            false => sentinels.servers[old].restart(),
        }
        former.push(old);
    }
    // the former primaries come back as replicas; nobody asks them
    let primary = sentinels.primary();
    former.iter().for_each(|old| sentinels.wait_until_replica(*old));
    for presented in &sessions {
        assert_eq!(kept.count(presented).await.unwrap(), count + 1);
    }
    assert_eq!(sentinels.primary(), primary);
    assert_eq!(sentinels.servers[primary].immortal_keys(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_switch_that_an_operator_orders_is_followed_before_the_former_primary_learns_of_it() {
    let sentinels = Sentinels::start();
    let connect = || Kept::on(builder(&sentinels).timeout(PATIENT));
    let [busy, idle] = [connect().await, connect().await];
    let presented = busy.session().await;
    sentinels.wait_until_replicated(0);
    sentinels.switch();
    let new = sentinels.wait_for_another_primary(0);
    let counter = || sentinels.servers[new].ask::<Option<u64>>(&["HGET", &key_of(&presented), "n"]);
    let mut last = busy.count(&presented).await;
    while counter().is_none() {
        let role = sentinels.servers[0].info("replication", "role");
        assert_eq!(role, "master", "until then it would have acknowledged what is lost");
        tokio::time::sleep(Duration::from_millis(10)).await;
        last = busy.count(&presented).await;
    }
    assert_eq!(last.ok(), counter());
    // one that nobody uses follows as well
    let made_there = busy.session().await;
    while !idle.load(&made_there).await.is_ok_and(|loaded| loaded.is_some()) {
        assert_eq!(sentinels.servers[0].info("replication", "role"), "master");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(idle.count(&made_there).await.unwrap(), 1);
}

#[test]
fn nobody_who_waits_for_a_primary_that_is_cut_off_is_led_to_it_once_another_has_taken_over() {
    let network = Network::new();
    let sentinels = Sentinels::start_in(&network);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // so many that some are just waiting for its answer when the network heals, told by the sentinel that learns last
    let connect = |number| runtime.block_on(Kept::on(builder_from(&sentinels, number).timeout(SHORT)));
    let stores: Vec<_> = (0..30).map(connect).collect();
    network.cut_off(sentinels.servers[0].port(), String::new());
    let working: Vec<_> = stores.into_iter().map(|kept| runtime.spawn(create_when_it_answers(kept))).collect();
    let new = sentinels.wait_for_another_primary(0);
    network.heal();
    for made in working {
        let key = key_of(&runtime.block_on(made).unwrap());
        assert_eq!(
            sentinels.servers[new].ask::<u64>(&["EXISTS", &key]),
            1,
            "it was acknowledged by the former primary"
        );
    }
}

async fn create_when_it_answers(kept: Kept) -> Credentials {
    loop {
        match kept.create().await {
            Ok(presented) => return presented,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_durably_revoked_session_never_comes_back_after_a_failover() {
    let mut sentinels = Sentinels::start();
    let durability = Durability { replicas: 2, on_disk: false, timeout: PATIENT };
    let kept = Kept::on(builder(&sentinels).timeout(SHORT).durable_revokes(durability)).await;
    let sessions = kept.sessions(600).await;
    sentinels.wait_until_replicated(0);
    let revoked = Arc::new(AtomicUsize::new(0));
    let revoking = tokio::spawn({
        let (kept, sessions, revoked) = (kept.clone(), sessions.clone(), revoked.clone());
        async move {
            let mut durable = BTreeSet::new();
            for (at, presented) in sessions.iter().enumerate() {
                match kept.revoke(presented).await {
                    Ok(ended) => {
                        assert_eq!(ended, 1);
                        durable.insert(at);
                        revoked.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(_) => break,
                }
            }
            durable
        }
    });
    while revoked.load(Ordering::SeqCst) < 100 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    sentinels.servers[0].kill();
    let durable = revoking.await.unwrap();
    kept.until_it_answers(&sessions[0]).await;
    sentinels.wait_for_another_primary(0);
    let mut alive = 0;
    for (at, presented) in sessions.iter().enumerate() {
        let lives = kept.lives(presented).await;
        assert!(!(lives && durable.contains(&at)), "what was durably revoked lives again");
        alive += usize::from(lives);
    }
    eprintln!("{} revoked durably, {alive} live", durable.len());
    // at most one was on its way
    assert!(durable.len() + alive == sessions.len() || durable.len() + alive + 1 == sessions.len());
    assert!(alive > 0, "the primary died while sessions were revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_first_durable_revoke_after_a_failover_is_asked_of_the_new_primary() {
    let sentinels = Sentinels::start();
    let durability = Durability { replicas: 1, on_disk: false, timeout: PATIENT };
    let kept = Kept::on(builder(&sentinels).timeout(SHORT).durable_revokes(durability)).await;
    let sessions = kept.sessions(2).await;
    assert_eq!(kept.revoke(&sessions[0]).await.unwrap(), 1);
    sentinels.wait_until_replicated(0);
    sentinels.servers[0].pause();
    kept.until_it_answers(&sessions[1]).await;
    sentinels.wait_for_another_primary(0);
    let new = sentinels.primary();
    sentinels.wait_until_followed(new);
    assert_eq!(kept.revoke(&sessions[1]).await.unwrap(), 1);
    assert!(!kept.lives(&sessions[1]).await);
    sentinels.servers[0].resume();
}
