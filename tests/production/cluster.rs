//! Slots that move, primaries that die, answers that get lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cloakroom::store::Credentials;
use cloakroom::store::operate::Inspect as _;
use cloakroom::store::{Redis, Store, Target};
use tokio::task::JoinSet;

use crate::support::cluster::slot_of;
use crate::support::{FaultProxy, RedisCluster, RedisServer, Trouble};
use crate::{Kept, PATIENT, SHORT, key_of, move_around, user_of};

/// Counts in its sessions until told to stop; how often in each.
async fn count_in(kept: Kept, sessions: Vec<Credentials>, stop: Arc<AtomicBool>) -> Vec<(Credentials, u64)> {
    let mut counted: Vec<_> = sessions.into_iter().map(|presented| (presented, 0)).collect();
    while !stop.load(Ordering::SeqCst) {
        for (presented, count) in &mut counted {
            *count += 1;
            assert_eq!(kept.count(presented).await.expect("a slot that moves answers"), *count);
            assert_eq!(kept.counter(presented).await, *count);
        }
    }
    counted
}

/// Signs a user in again and again until told to stop; all the sessions.
async fn sign_in_as(kept: Kept, user: String, stop: Arc<AtomicBool>) -> Vec<Credentials> {
    let mut all = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        all.push(kept.sign_in(&user, 100_000).await.expect("a slot that moves answers"));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    all
}

/// A user whose index is in this slot.
fn user_in(slot: u16) -> String {
    (0..).map(|number| number.to_string()).find(|user| slot_of(&format!("session:user:{user}")) == slot).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slots_that_move_under_load_lose_no_session_and_count_nothing_twice() {
    let cluster = RedisCluster::start();
    let kept = Kept::on(Redis::builder(cluster.nodes[0].url()).timeout(PATIENT)).await;
    let sessions = kept.sessions(12).await;
    let slots: Vec<_> = sessions.iter().map(|presented| slot_of(&key_of(presented))).collect();
    let users: Vec<_> = slots.iter().take(6).map(|slot| user_in(*slot)).collect();

    let stop = Arc::new(AtomicBool::new(false));
    let mut counting = JoinSet::new();
    for part in sessions.chunks(3) {
        counting.spawn(count_in(kept.clone(), part.to_vec(), stop.clone()));
    }
    let mut signing = JoinSet::new();
    for user in &users {
        let signed_in = sign_in_as(kept.clone(), user.clone(), stop.clone());
        let user = user.clone();
        signing.spawn(async { (user, signed_in.await) });
    }
    let cluster = tokio::task::spawn_blocking(move || {
        for slot in slots {
            let from = cluster.primary_of_slot(slot, 3);
            cluster.move_slot(slot, from, (from + 1) % 3, || std::thread::sleep(Duration::from_millis(150)));
        }
        cluster
    });
    let cluster = cluster.await.unwrap();
    stop.store(true, Ordering::SeqCst);

    let counted: Vec<_> = counting.join_all().await.into_iter().flatten().collect();
    for (presented, count) in &counted {
        assert_eq!(kept.counter(presented).await, *count);
    }
    let mut sign_ins = 0;
    for (user, all) in signing.join_all().await {
        for presented in &all {
            assert!(kept.lives(presented).await);
        }
        assert_eq!(kept.devices(&user).await, all.len().min(1000), "the index misses none");
        assert_eq!(kept.store.revoke(&Target::AllOf(user_of(&user))).await.unwrap(), all.len() as u64);
        sign_ins += all.len();
    }
    assert_eq!(cluster.immortal_keys(), Vec::<String>::new());
    let redirections = cluster.redirections();
    for (presented, count) in &counted {
        assert_eq!(kept.counter(presented).await, *count);
    }
    assert_eq!(cluster.redirections(), redirections, "where the slots are now has been learnt");
    let counts: u64 = counted.iter().map(|(_, count)| count).sum();
    eprintln!("12 slots moved, {counts} counts, {sign_ins} sign-ins, {redirections} redirections");
    assert!(redirections > 0, "the load has met the moves");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_whose_slot_is_moving_is_asked_of_the_server_that_has_it_by_then() {
    let cluster = RedisCluster::without_replicas(async |_| Vec::new()).await;
    let kept = Kept::on(Redis::builder(cluster.nodes[0].url()).timeout(PATIENT)).await;
    for presented in kept.sessions(3).await {
        let to = (cluster.primary_of(&key_of(&presented), 0) + 1) % 3;
        // the session has moved, and its slot has not; a script is loaded there first
        let _: () = cluster.nodes[to].ask(&["SCRIPT", "FLUSH"]);
        let (counted, revoked, lives) = move_around(&cluster, slot_of(&key_of(&presented)), to, async || {
            (kept.count(&presented).await, kept.revoke(&presented).await, kept.lives(&presented).await)
        });
        assert_eq!((counted.unwrap(), revoked.unwrap(), lives), (1, 1, false));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster_whose_servers_have_all_been_replaced_is_found_at_the_configured_address() {
    let mut former = RedisCluster::without_replicas(async |_| Vec::new()).await;
    let configured = FaultProxy::before(former.nodes[0].port()).await;
    let kept = Kept::on(Redis::builder(configured.url()).timeout(PATIENT)).await;
    kept.session().await;
    // the connection to the configured address breaks first, and the store goes on with the servers that it knows
    configured.set(Trouble::Drop);
    let _: u64 = former.nodes[0].ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    former.nodes[2].kill();
    // how often the others were asked who has which slots
    let asked = |node: &RedisServer| {
        let all: String = node.ask(&["INFO", "commandstats"]);
        let of_cluster = all.lines().filter_map(|line| line.strip_prefix("cmdstat_cluster")?.split_once("calls="));
        of_cluster.map(|(_, calls)| calls.split(',').next().unwrap().parse::<u64>().unwrap()).sum::<u64>()
    };
    let asked = || former.nodes[..2].iter().map(asked).sum::<u64>();
    let (before, patience) = (asked(), Instant::now());
    while asked() < before + 3 {
        assert!(patience.elapsed() < PATIENT, "the store asks again and again while a server is away");
        drop(kept.create().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    kept.until_it_works().await;
    let next = RedisCluster::without_replicas(async |_| Vec::new()).await;
    drop(former);
    configured.switch(next.nodes[0].port());
    configured.set(Trouble::None);
    let presented = kept.until_it_works().await;
    assert_eq!(kept.count(&presented).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn operators_reach_every_primary_of_a_cluster() {
    let cluster = RedisCluster::without_replicas(async |_| Vec::new()).await;
    let kept = Kept::on(Redis::builder(cluster.nodes[0].url()).timeout(PATIENT)).await;
    let mut sessions: Vec<_> = kept.sessions(60).await.into_iter().map(|presented| presented.id).collect();
    let (store, debug) = (&kept.store, format!("{:?}", kept.store));
    assert!(debug.contains("cluster of 3 primaries"), "{debug}");
    assert_eq!(store.servers().len(), 3);
    for server in store.servers() {
        let port = store.command(&server, &["CONFIG", "GET", "port"]).await.unwrap();
        assert_eq!(format!("127.0.0.1:{}", port[1].as_str().unwrap()), server);
    }
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let scanned = store.scan(cursor.as_deref(), 1000).await.unwrap();
        found.extend(scanned.ids);
        cursor = scanned.next;
        if cursor.is_none() {
            break;
        }
    }
    found.sort();
    sessions.sort();
    assert_eq!(found, sessions);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_servers_of_a_cluster_are_asked_neither_for_their_time_nor_for_their_slots_more_often_than_needed() {
    let cluster = RedisCluster::without_replicas(async |_| Vec::new()).await;
    let kept = Kept::on(Redis::builder(cluster.nodes[0].url()).timeout(PATIENT)).await;
    // each server has told its time
    kept.sessions(30).await;
    let mut monitors: Vec<_> = cluster.nodes.iter().map(|node| node.monitor()).collect();
    kept.sessions(60).await;
    let times: usize = monitors.iter_mut().map(|monitor| monitor.times()).sum();
    assert!(times < 20, "{times} times for 60 new sessions");
    // longer than some of the pauses after which the slots are asked for while a primary is away
    tokio::time::sleep(Duration::from_millis(900)).await;
    let commands: Vec<_> = monitors.iter_mut().flat_map(|monitor| monitor.commands()).collect();
    assert!(commands.iter().filter(|name| *name == "CLUSTER").count() < 2, "{commands:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_primary_that_dies_or_hangs_is_replaced_without_a_restart() {
    let mut cluster = RedisCluster::start();
    let kept = Kept::on(Redis::builder(cluster.nodes[0].url()).timeout(SHORT)).await;
    let sessions = kept.sessions(60).await;
    let mut counts = vec![0; sessions.len()];
    for (dying, hangs) in [(0, false), (1, true)] {
        let on_it: Vec<_> = (0..60).filter(|at| cluster.primary_of(&key_of(&sessions[*at]), 5) == dying).collect();
        let first = *on_it.first().expect("some session is on every primary");
        for at in &on_it {
            counts[*at] += 1;
            assert_eq!(kept.count(&sessions[*at]).await.unwrap(), counts[*at]);
        }
        cluster.wait_until_replicated(dying);
        match hangs {
            true => cluster.nodes[dying].pause(),
            false => cluster.nodes[dying].kill(),
        }
        let failed = kept.until_it_answers(&sessions[first]).await;
        // had each call waited for its time-out, there would have been few
        eprintln!("{failed} calls failed meanwhile");
        assert!(failed > 20, "calls fail at once while nobody has the slot: only {failed} did");
        for (presented, count) in sessions.iter().zip(&counts) {
            // the other nodes may still be hearing that the cluster is whole again
            kept.until_it_answers(presented).await;
            assert_eq!(kept.counter(presented).await, *count, "what a replica had is there");
        }
        match hangs {
            true => cluster.nodes[dying].resume(),
            false => cluster.nodes[dying].restart(),
        }
        cluster.wait_until_replica(dying);
        cluster.wait_until_well(&[0, 1, 2, 3, 4, 5]);
        let redirections = cluster.redirections();
        for (presented, count) in sessions.iter().zip(&mut counts) {
            *count += 1;
            assert_eq!(kept.count(presented).await.unwrap(), *count);
        }
        assert_eq!(cluster.redirections(), redirections, "who is the primary now has been learnt");
    }
    assert_eq!(cluster.immortal_keys(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_that_a_cluster_lost_repeat_no_change() {
    let mut proxies = Vec::new();
    let cluster = RedisCluster::without_replicas(async |port| {
        let proxy = FaultProxy::before(port).await;
        let announced = [("--cluster-announce-port", proxy.port()), ("--cluster-announce-bus-port", port + 10_000)];
        proxies.push(proxy);
        announced.into_iter().flat_map(|(name, port)| [name.to_owned(), port.to_string()]).collect()
    })
    .await;
    let kept = Kept::on(Redis::builder(cluster.nodes[0].url()).timeout(PATIENT)).await;
    let sessions = kept.sessions(6).await;
    let (mut lost, mut made) = (0, 0);
    for presented in &sessions {
        // also for its scripts: the question that is lost must be the change itself
        let mut unknown = kept.count(presented).await.unwrap();
        for round in 0..6 {
            let trouble = if round % 2 == 0 { Trouble::LoseReplies } else { Trouble::CutInReply };
            let loaded = kept.until_it_is_loaded(presented).await;
            proxies.iter().for_each(|proxy| proxy.set(trouble));
            match kept.count_in(&loaded, presented).await {
                Ok(_) => panic!("its answer was lost"),
                Err(error) => unknown += u64::from(error.is_unknown()),
            }
            proxies.iter().for_each(|proxy| proxy.set(Trouble::None));
            kept.until_it_answers(presented).await;
        }
        // a connection may break with a question that has not arrived: that one was not made at all
        let counted = kept.counter(presented).await;
        assert!(counted <= unknown, "{counted} were made, {unknown} were asked for");
        (lost, made) = (lost + unknown - 1, made + counted - 1);
    }
    assert!(made > 0, "no change was made of which the answer was lost");
    eprintln!("{lost} answers lost, {made} of these changes made");
}
