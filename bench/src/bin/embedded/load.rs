//! What every store goes through, and how it is measured.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cloakroom::{
    SessionId,
    store::{Credentials, Fields, SecretHash},
};

use crate::Size;

/// Names, and what was measured.
pub(crate) type Figures = BTreeMap<String, f64>;

/// A store under measurement: its sessions have numbers.
pub(crate) trait Peer: Send + Sync + 'static {
    /// Whether it is there.
    fn load(&self, session: usize) -> impl Future<Output = bool> + Send;
    /// Sets one field to something else.
    fn change(&self, session: usize, number: u64) -> impl Future<Output = ()> + Send;
    fn create(&self, session: usize) -> impl Future<Output = ()> + Send;
    fn revoke(&self, session: usize) -> impl Future<Output = ()> + Send;
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Work {
    Loads,
    /// Of 100: 90 loads, 9 changes, and one session that ends and is made again.
    Mix,
    Changes,
}

/// SplitMix64: the same numbers for ever. <https://prng.di.unimi.it/splitmix64.c>
pub(crate) fn scrambled(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// About 300 bytes with the rest of a record.
pub(crate) fn fields() -> Fields {
    let short = [("views", "17"), ("locale", "en-GB"), ("theme", "dark"), ("last", "/shop/checkout")];
    let mut fields = Fields::from(short);
    fields.insert("cart", "x".repeat(180));
    fields
}

/// The ids and secrets of the sessions.
pub(crate) fn all_presented(size: Size) -> Vec<Credentials> {
    (0..size.sessions).map(|session| presented(session as u64)).collect()
}

pub(crate) fn presented(session: u64) -> Credentials {
    // scattered as random ids are
    let id = format!("{:016x}{:05x}A", scrambled(session), session & 0xf_ffff);
    let secret = format!("{session:042x}A");
    Credentials { id: SessionId::parse(&id).unwrap(), secret_hash: SecretHash::parse(&secret) }
}

/// How many bytes this process has in memory.
pub(crate) fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: f64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
    pages * 4096.0
}

/// How many nanoseconds this process has had a core: what it waited for other programs is not in it.
pub(crate) fn worked() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Fills a store, and says how long that took and how much memory a session takes.
pub(crate) fn fill<P: Peer>(peer: &P, size: Size, figures: &mut Figures) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (before, begun) = (resident(), Instant::now());
    runtime.block_on(async {
        for session in 0..size.sessions {
            peer.create(session).await;
        }
    });
    figures.insert("creating them, s".to_owned(), begun.elapsed().as_secs_f64());
    figures.insert("bytes of memory a session".to_owned(), (resident() - before) / size.sessions as f64);
}

/// Loads and the mix, on one and on two threads.
pub(crate) fn loads_and_mix<P: Peer>(peer: &Arc<P>, size: Size, figures: &mut Figures) {
    for (name, work) in [("loads/s", Work::Loads), ("mix/s", Work::Mix)] {
        for (tasks, on) in [(1, "1 thread"), (2, "2 threads")] {
            let measured = run(peer, size, tasks, work, size.seconds);
            figures.insert(format!("{name}, {on}"), measured.per_second);
            figures.insert(format!("{name}, {on}: ns of a core each"), measured.worked);
        }
    }
}

/// Changes alone, by one and by several at a time.
pub(crate) fn changes<P: Peer>(peer: &Arc<P>, size: Size, name: &str, figures: &mut Figures) {
    for (tasks, by) in [(1, "1 task"), (16, "16 tasks")] {
        let measured = run(peer, size, tasks, Work::Changes, size.seconds);
        figures.insert(format!("{name}/s, {by}"), measured.per_second);
    }
}

/// The mix on two threads for a while, and how long its operations took.
pub(crate) fn pauses<P: Peer>(peer: &Arc<P>, size: Size, seconds: u64, name: &str, figures: &mut Figures) {
    let measured = run(peer, size, 2, Work::Mix, seconds);
    figures.insert(format!("{name}: p99.99, ms"), measured.took.percentile(0.9999));
    figures.insert(format!("{name}: longest, ms"), measured.took.percentile(1.0));
}

struct Measured {
    per_second: f64,
    /// How many nanoseconds of a core each took, with what the store's own threads did meanwhile.
    worked: f64,
    took: Took,
}

/// On a runtime of at most two threads.
fn run<P: Peer>(peer: &Arc<P>, size: Size, tasks: usize, work: Work, seconds: u64) -> Measured {
    let threads = tasks.min(2);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
    let (took, missing) = (Took::default(), Arc::new(AtomicU64::new(0)));
    let (begun, before) = (Instant::now(), worked());
    let deadline = begun + Duration::from_secs(seconds);
    let all: Vec<_> = (0..tasks as u64)
        .map(|task| {
            let (peer, missing) = (peer.clone(), missing.clone());
            runtime.spawn(async move {
                let mut took = Took::default();
                let mut number = task << 40;
                let mut now = Instant::now();
                while now < deadline {
                    number += 1;
                    one(&*peer, size, work, number, &missing).await;
                    let then = std::mem::replace(&mut now, Instant::now());
                    took.add(now - then);
                    // a store that never waits would keep the others from their turn
                    if tasks > 2 && number.is_multiple_of(64) {
                        tokio::task::yield_now().await;
                    }
                }
                took
            })
        })
        .collect();
    let took = all.into_iter().fold(took, |took, task| took.and(runtime.block_on(task).unwrap()));
    let (elapsed, worked) = (begun.elapsed().as_secs_f64(), worked() - before);
    let missing = missing.load(Ordering::Relaxed) as f64;
    assert!(missing < took.count() as f64 * 0.05, "{missing} of {} loads found nothing", took.count());
    let count = took.count() as f64;
    Measured { per_second: count / elapsed, worked: worked / count, took }
}

async fn one<P: Peer>(peer: &P, size: Size, work: Work, number: u64, missing: &AtomicU64) {
    let random = scrambled(number);
    let session = (random >> 16) as usize % size.sessions;
    let kind = match work {
        Work::Loads => 0,
        Work::Mix => random % 100,
        Work::Changes => 90,
    };
    match kind {
        0..90 => {
            if !peer.load(session).await {
                missing.fetch_add(1, Ordering::Relaxed);
            }
        }
        90..99 => peer.change(session, number).await,
        _ => {
            peer.revoke(session).await;
            peer.create(session).await;
        }
    }
}

/// How many operations took how long: to one part in sixteen.
struct Took {
    counts: Vec<u64>,
    longest: Duration,
}

impl Default for Took {
    fn default() -> Self {
        Took { counts: vec![0; 64 * 16], longest: Duration::ZERO }
    }
}

impl Took {
    fn add(&mut self, time: Duration) {
        let nanos = (time.as_nanos() as u64).max(16);
        let magnitude = nanos.ilog2();
        let within = (nanos >> (magnitude - 4)) & 15;
        self.counts[magnitude as usize * 16 + within as usize] += 1;
        self.longest = self.longest.max(time);
    }

    fn and(mut self, other: Took) -> Took {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.longest = self.longest.max(other.longest);
        self
    }

    fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// In milliseconds: no operation of that share took longer.
    fn percentile(&self, share: f64) -> f64 {
        let (mut left, longest) = ((self.count() as f64 * share) as u64, self.longest.as_secs_f64() * 1e3);
        if share >= 1.0 {
            return longest;
        }
        for (bucket, count) in self.counts.iter().enumerate() {
            if *count > left {
                let (magnitude, within) = (bucket / 16, bucket % 16);
                return (((17 + within) as u64) << magnitude) as f64 / 16.0 / 1e6;
            }
            left -= count;
        }
        longest
    }
}
