//! Changes that race against the end of their session. `RACES=1000000 ./test races_against` runs as many.

use std::time::{Duration, Instant};

use cloakroom::conformance::{mint, new_session, with_new_secret};
use cloakroom::store::{Change, Credentials, Loaded, Outcome, Redis, Refusal, Store, Target, Terms};
use tokio::task::JoinSet;

use crate::support::{Numbers, RedisServer};
use crate::{PATIENT, add, fields, key, rotate_to, set, touch};

/// How many changes race if nobody says otherwise.
const FEW: usize = 2_000;
/// How many sessions are raced for at the same time.
const AT_ONCE: usize = 32;
const EACH: usize = 4;

/// What became of the changes.
#[derive(Default)]
struct Tally {
    done: usize,
    refused: usize,
}

/// Makes a session, loads it, and then changes and revokes it at the same time, on two connections.
async fn race(stores: [Redis; 2], mut numbers: Numbers) -> (Credentials, Tally) {
    let terms = Terms::default();
    let presented = mint();
    stores[0].create(&new_session(presented, fields(&[("n", "1")])), &terms).await.expect("the server answers");
    let loaded = stores[0].load(&presented, &terms).await.expect("the server answers").live().expect("it is new");
    let mut changes = JoinSet::new();
    for change in [set("name", "late"), touch(), add("n", 1), rotate_to(&with_new_secret(&presented))] {
        let (store, loaded, yields) = (stores[numbers.below(2)].clone(), loaded.clone(), numbers.below(6));
        changes.spawn(async move {
            pause(yields).await;
            change_late(&store, &loaded, &presented, &change, &terms).await
        });
    }
    pause(numbers.below(6)).await;
    let ended = stores[1].revoke(&Target::Session(presented.id)).await.expect("the server answers");
    assert_eq!(ended, 1);
    let after = change_late(&stores[0], &loaded, &presented, &add("n", 1), &terms).await;
    assert!(!after, "a change after the revoke was answered is made");
    let mut tally = Tally::default();
    for is_done in changes.join_all().await {
        *if is_done { &mut tally.done } else { &mut tally.refused } += 1;
    }
    (presented, tally)
}

async fn pause(yields: usize) {
    for _ in 0..yields {
        tokio::task::yield_now().await;
    }
}

/// Returns whether the change was made.
async fn change_late(store: &Redis, loaded: &Loaded, presented: &Credentials, change: &Change, terms: &Terms) -> bool {
    match store.apply_to(loaded, presented, change, terms).await.expect("the server answers") {
        Outcome::Done { .. } => true,
        Outcome::Refused(Refusal::Gone) => false,
        other => panic!("{change:?}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn races_against_a_revoke_are_never_won_by_what_comes_late() {
    let wanted = std::env::var("RACES").ok().map_or(FEW, |races| races.parse().expect("RACES is a number"));
    let server = RedisServer::start();
    let store = || async { Redis::builder(server.url()).timeout(PATIENT).connect().await.expect("the server answers") };
    let stores = [store().await, store().await];
    let (begin, mut said) = (Instant::now(), Instant::now());
    let mut tally = Tally::default();
    let mut seeds = 0..wanted.div_ceil(EACH) as u64;
    let mut racing = JoinSet::new();
    for seed in seeds.by_ref().take(AT_ONCE) {
        racing.spawn(race(stores.clone(), Numbers(seed)));
    }
    let mut client = server.client();
    while let Some(raced) = racing.join_next().await {
        let (presented, Tally { done, refused }) = raced.expect("nothing is wrong");
        assert!(!redis::cmd("EXISTS").arg(key(&presented)).query::<bool>(&mut client).unwrap(), "it came back");
        (tally.done, tally.refused) = (tally.done + done, tally.refused + refused);
        if let Some(seed) = seeds.next() {
            racing.spawn(race(stores.clone(), Numbers(seed)));
        }
        if said.elapsed() > Duration::from_secs(10) {
            said = Instant::now();
            eprintln!("{} changes made in time, {} too late", tally.done, tally.refused);
        }
    }
    assert_eq!(redis::cmd("DBSIZE").query::<u64>(&mut client).unwrap(), 0);
    eprintln!("{} changes made in time, {} too late, in {:?}", tally.done, tally.refused, begin.elapsed());
    assert!(tally.done > wanted / 20 && tally.refused > wanted / 20, "they did not meet");
}
