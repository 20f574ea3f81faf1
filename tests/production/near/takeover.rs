//! Nobody is let in for too long while another server takes over, or a slot moves.

use std::time::Duration;

use cloakroom::store::Credentials;
use cloakroom::store::{Redis, RedisBuilder};

use super::promise::{D, Recorder, builder, rounds};
use super::until;
use crate::support::{Network, RedisCluster, Sentinels};
use crate::{Kept, PATIENT, SHORT, key_of};

fn both(urls: &[String], all: impl Fn(RedisBuilder) -> RedisBuilder) -> (RedisBuilder, RedisBuilder) {
    let with_all = |first: RedisBuilder| all(urls[1..].iter().fold(first, |builder, url| builder.and(url)));
    (with_all(builder(urls[0].clone())), with_all(Redis::builder(urls[0].clone()).timeout(SHORT)))
}

/// Sessions that both know, and that are warm.
async fn warm(near: &Kept, operator: &Kept, count: usize) -> Vec<Credentials> {
    let sessions = operator.sessions(count).await;
    for presented in &sessions {
        until("the cache is warm", async || near.load(presented).await.is_ok_and(|live| live.is_some())).await;
    }
    sessions
}

/// How many sessions there are while another server takes over, which happens once.
fn many() -> usize {
    let (rounds, count) = rounds();
    rounds * count / 2
}

/// Revokes until it is acknowledged, as an operator does who is told that it failed.
async fn revoke(operator: &Kept, presented: &Credentials) -> bool {
    for _ in 0..3000 {
        if operator.revoke(presented).await.is_ok() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_let_in_too_long_when_sentinels_replace_a_primary() {
    let mut sentinels = Sentinels::start();
    let (near, operator) = both(&sentinels.urls(), |builder| builder);
    let (near, operator) = (Kept::on(near).await, Kept::on(operator).await);
    let sessions = warm(&near, &operator, many()).await;
    sentinels.wait_until_replicated(0);
    let recorder = Recorder::new(&near, sessions.clone());
    sentinels.servers[0].kill();
    let after = recorder.longest_after(async |presented| revoke(&operator, presented).await).await;
    eprintln!("a primary behind sentinels is killed: let in for {after:?} at most");
    assert!(after <= D, "somebody was let in {after:?} after the revoke was acknowledged, D is {D:?}");
    near.until_it_answers(&sessions[0]).await;
    for presented in &sessions {
        assert!(!near.lives(presented).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_let_in_too_long_when_a_switch_is_ordered() {
    let sentinels = Sentinels::start();
    let (near, operator) = both(&sentinels.urls(), |builder| builder.timeout(PATIENT));
    let (near, operator) = (Kept::on(near).await, Kept::on(operator).await);
    let sessions = warm(&near, &operator, many()).await;
    sentinels.wait_until_replicated(0);
    let recorder = Recorder::new(&near, sessions.clone());
    sentinels.switch();
    let new = sentinels.wait_for_another_primary(0);
    // the former primary still is one for a while: what it acknowledges is lost, but not the cache's fault
    until("the operator has left it", async || match operator.create().await {
        Ok(presented) => sentinels.servers[new].ask::<u64>(&["EXISTS", &key_of(&presented)]) == 1,
        Err(_) => false,
    })
    .await;
    let after = recorder.longest_after(async |presented| revoke(&operator, presented).await).await;
    eprintln!("a switch is ordered: let in for {after:?} at most");
    assert!(after <= D, "somebody was let in {after:?} after the revoke was acknowledged, D is {D:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_let_in_too_long_when_a_node_of_a_cluster_dies() {
    let mut cluster = RedisCluster::start();
    let (near, operator) = both(&cluster.urls(), |builder| builder);
    let (near, operator) = (Kept::on(near).await, Kept::on(operator).await);
    let sessions = warm(&near, &operator, many()).await;
    (0..3).for_each(|node| cluster.wait_until_replicated(node));
    let recorder = Recorder::new(&near, sessions.clone());
    cluster.nodes[0].kill();
    let after = recorder.longest_after(async |presented| revoke(&operator, presented).await).await;
    eprintln!("a cluster's node is killed: let in for {after:?} at most");
    assert!(after <= D, "somebody was let in {after:?} after the revoke was acknowledged, D is {D:?}");
    for presented in &sessions {
        near.until_it_answers(presented).await;
        assert!(!near.lives(presented).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_let_in_too_long_when_slots_move() {
    let cluster = RedisCluster::start();
    let (near, operator) = both(&cluster.urls(), |builder| builder.timeout(PATIENT));
    let (near, operator) = (Kept::on(near).await, Kept::on(operator).await);
    let sessions = warm(&near, &operator, 100).await;
    let recorder = Recorder::new(&near, sessions);
    let after = recorder.longest_after(async |presented| {
        let key = key_of(presented);
        let from = cluster.primary_of(&key, 0);
        tokio::task::block_in_place(|| {
            cluster.move_slot(crate::support::cluster::slot_of(&key), from, (from + 1) % 3, || {});
        });
        revoke(&operator, presented).await
    });
    let after = after.await;
    eprintln!("slots move: let in for {after:?} at most");
    assert!(after <= D, "somebody was let in {after:?} after the revoke was acknowledged, D is {D:?}");
}

#[test]
fn nobody_is_let_in_too_long_by_a_primary_that_is_cut_off_once_it_is_fenced() {
    let network = Network::new();
    let sentinels = Sentinels::start_in(&network);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (near, operator) = both(&sentinels.urls(), |builder| builder);
    let (near, operator) = runtime.block_on(async { (Kept::on(near).await, Kept::on(operator).await) });
    let sessions = runtime.block_on(warm(&near, &operator, many()));
    sentinels.wait_until_replicated(0);
    let recorder = Recorder::new(&near, sessions);
    // the application cannot reach it either: what it keeps is as old as the last sign of life
    network.cut_off(sentinels.servers[0].port(), String::new());
    sentinels.wait_for_another_primary(0);
    let after = runtime.block_on(recorder.longest_after(async |presented| revoke(&operator, presented).await));
    network.heal();
    eprintln!("a primary is cut off: let in for {after:?} at most");
    assert!(after <= D, "somebody was let in {after:?} after the revoke was acknowledged, D is {D:?}");
}
