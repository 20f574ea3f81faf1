//! A primary that fails while visitors sign in, change and end sessions: what was acknowledged, and what is there afterwards.

mod app;
mod checker;
mod figures;
mod ledger;
mod load;
mod place;

use std::sync::Arc;

use cloakroom::store::{Redis, RedisBuilder};
use tokio::runtime::Builder;
use tokio::task::JoinHandle;

use crate::SHORT;
use figures::Figures;
use ledger::When;
use load::{Progress, Tally, Worker};
use place::{Fault, Place};

const WORKERS: usize = 8;
const USERS_OF_EACH: usize = 3;

#[test]
fn behind_sentinels_a_killed_primary_breaks_no_promise() {
    fail_over("Sentinel", Place::with_sentinels(), Fault::Killed);
}

#[test]
fn behind_sentinels_a_stopped_primary_breaks_no_promise() {
    fail_over("Sentinel", Place::with_sentinels(), Fault::Stopped);
}

#[test]
fn behind_sentinels_a_primary_that_is_cut_off_breaks_no_promise() {
    fail_over("Sentinel", Place::with_sentinels(), Fault::CutOff);
}

#[test]
fn in_a_cluster_a_killed_primary_breaks_no_promise() {
    fail_over("cluster", Place::with_cluster(), Fault::Killed);
}

#[test]
fn in_a_cluster_a_stopped_primary_breaks_no_promise() {
    fail_over("cluster", Place::with_cluster(), Fault::Stopped);
}

#[test]
fn in_a_cluster_a_primary_that_is_cut_off_breaks_no_promise() {
    fail_over("cluster", Place::with_cluster(), Fault::CutOff);
}

/// The load goes on all the time; each part of the story ends after so many acknowledged requests.
fn fail_over(name: &str, mut place: Place, fault: Fault) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let progress = Arc::new(Progress::default());
    let mut workers = runtime.block_on(recruit(&place, &progress));
    let run = |workers: Vec<Worker>, rounds| -> Vec<JoinHandle<Worker>> {
        workers.into_iter().map(|worker| runtime.spawn(worker.work(rounds))).collect()
    };
    let end = |working: Vec<JoinHandle<Worker>>| -> Vec<Worker> {
        working.into_iter().map(|worker| runtime.block_on(worker).expect("a worker finds nothing wrong")).collect()
    };

    workers = end(run(workers, 12));
    place.wait_until_replicated();
    let before = runtime.block_on(checker::check(&place, &workers));
    assert_unscathed(&before);

    progress.set(When::Failing);
    let working = run(workers, usize::MAX);
    progress.wait_for(100);
    place.leave_replicas_behind();
    progress.wait_for(300);
    place.strike(fault);
    let new = place.wait_for_failover();
    progress.set(When::Returning);
    progress.wait_for(200);
    progress.stop(true);
    workers = end(working);
    let figures = runtime.block_on(checker::check(&place, &workers));
    report(name, fault, &workers, &figures);
    assert_told(&figures);
    assert_kept(&figures);

    progress.stop(false);
    let working = run(workers, usize::MAX);
    place.bring_back(fault);
    progress.set(When::After);
    progress.wait_for(200);
    progress.stop(true);
    workers = end(working);
    assert_eq!(place.primary(), new, "there was a second failover");
    assert_kept(&runtime.block_on(checker::check(&place, &workers)));
}

/// On a busy machine the first connection may take longer than a question may.
async fn connected(builder: RedisBuilder) -> Redis {
    const TRIES: u32 = 20;
    for _ in 1..TRIES {
        if let Ok(store) = builder.clone().connect().await {
            return store;
        }
    }
    builder.connect().await.expect("the servers answer")
}

async fn recruit(place: &Place, progress: &Arc<Progress>) -> Vec<Worker> {
    let plain = place.builder().timeout(SHORT);
    let durable = plain.clone().durable_revokes(place.durability());
    let mut apps = Vec::new();
    for builder in [plain, durable] {
        apps.push(app::app(&app::sessions(connected(builder).await)));
    }
    let worker = |number: usize| {
        let users = (0..USERS_OF_EACH).map(|user| format!("user-{number}-{user}")).collect();
        Worker::new(apps[number % 2].clone(), progress.clone(), number % 2 == 1, users)
    };
    (0..WORKERS).map(worker).collect()
}

/// Without a failover nothing is lost, nothing comes back, and no index misses a session.
fn assert_unscathed(figures: &Figures) {
    assert_eq!(figures.broken, Vec::<String>::new());
    assert_eq!(figures.misses, 0, "the index misses sessions without a failover");
    for (what, count) in figures.all() {
        assert_eq!(count.undone(), 0, "{what}: {count} without a failover");
    }
}

/// A checker that finds nothing would find nothing wrong.
fn assert_told(figures: &Figures) {
    let undone: u64 = figures.all().iter().map(|(_, count)| count.undone()).sum();
    assert!(undone > 0, "the replicas were left behind, and nothing was lost");
    for (what, count) in figures.all().into_iter().filter(|(what, _)| *what != "not durable revokes") {
        assert!(count.acknowledged > 0, "no {what} were acknowledged");
    }
}

/// What holds through every failover. That the last ones may be lost means: those until another server has taken over.
fn assert_kept(figures: &Figures) {
    assert_eq!(figures.broken, Vec::<String>::new());
    assert_eq!(figures.durable_revokes.undone(), 0, "a durable revoke came back");
    for (what, count) in figures.all() {
        for when in [When::Before, When::Returning, When::After] {
            assert_eq!(count.undone_of(when), 0, "{what}: {count} are undone that were acknowledged {when:?}");
        }
    }
}

/// A line of the table in docs/guarantees.md.
fn report(name: &str, fault: Fault, workers: &[Worker], figures: &Figures) {
    let told = workers.iter().fold(Tally::default(), |all, worker| all + worker.tally);
    let Tally { acknowledged, not_done, unknown } = told;
    let counts = figures.all().map(|(_, count)| count.to_string()).join(" | ");
    eprintln!("| {name} | {fault} | {acknowledged} / {not_done} / {unknown} | {counts} | {} |", figures.misses);
}
