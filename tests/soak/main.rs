//! A mixed load for as long as it takes to see whether anything grows: memory, file descriptors, tasks, connections, the
//! journal, sessions. Restarts, lost connections and dropped requests are a part of it.
//!
//! In `./test` it runs for some thousand requests. `SOAK_MINUTES=60 ./test soak` runs it for that long, says every half
//! minute what it measured, and judges what grew after the first quarter.
#![allow(missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod app;
mod counted;
mod load;
mod measured;
mod place;
mod world;

use std::alloc::System;
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::sync::Mutex;

use measured::Measurements;
use place::{DISTURBANCES, InCluster, OnDisk, Place};
use world::World;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What is counted is counted for the whole process, so there is one load at a time.
static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_nothing_grows_in_the_embedded_store() {
    soak::<OnDisk>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_nothing_grows_on_a_cluster_with_near_caches() {
    soak::<InCluster>().await;
}

/// How long the load goes on, and how fast.
struct Plan {
    /// So many rounds, or so long.
    rounds: usize,
    length: Duration,
    /// How many requests each browser sends in a round.
    requests: usize,
    /// The time between two requests of a browser.
    pause: Duration,
    /// Whether there are enough measurements to say how memory develops.
    is_long: bool,
}

const ROUND: Duration = Duration::from_secs(30);
const REQUESTS_A_SECOND: u32 = 300;

impl Plan {
    /// All that happens to the servers happens twice.
    fn short() -> Plan {
        Plan { rounds: 2 * DISTURBANCES, length: Duration::MAX, requests: 8, pause: Duration::ZERO, is_long: false }
    }

    fn long(minutes: u64) -> Plan {
        let pause = Duration::from_secs(1) * load::BROWSERS as u32 / REQUESTS_A_SECOND;
        let requests = ROUND.div_duration_f64(pause) as usize;
        Plan { rounds: usize::MAX, length: Duration::from_secs(60 * minutes), requests, pause, is_long: true }
    }
}

async fn soak<P: Place>() {
    let _turn = TURN.lock().await;
    let plan = match std::env::var("SOAK_MINUTES") {
        Ok(minutes) => Plan::long(minutes.parse().expect("SOAK_MINUTES is a number")),
        Err(_) => Plan::short(),
    };
    let mut world = World::<P>::start().await;
    let mut measurements = Measurements::default();
    let (began, mut round) = (Instant::now(), 0);
    while round < plan.rounds && began.elapsed() < plan.length {
        world.load(round, plan.requests, plan.pause).await;
        world.check().await;
        let measurement = world.measure().await;
        eprintln!("{:>5} s  {measurement}", began.elapsed().as_secs());
        measurements.add(measurement);
        round += 1;
    }
    eprintln!("{}", world.summary());
    let verdict = if plan.is_long { measurements.judge_trends() } else { measurements.judge_peaks() };
    eprintln!("{verdict}");
    assert!(verdict.is_good(), "something grows:\n{verdict}");
}
