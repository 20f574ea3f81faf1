//! Users, browsers and servers over one store for simulated weeks, and an oracle that knows only what is documented.
#![allow(missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod contents;
mod faults;
mod in_redis;
mod lives;
mod oracle;
mod place;
mod scenes;
mod server;
mod shrink;
mod stories;
mod story;
mod world;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use in_redis::InRedis;
use place::{InMemory, OnDisk, Place};
use story::Step;
use world::World;

/// How often a long run says how far it is.
const PROGRESS: Duration = Duration::from_secs(10);

#[test]
fn simulation_in_memory_everybody_sees_what_is_promised() {
    simulate::<InMemory>("in memory", 1_000, 1);
}

#[test]
fn simulation_on_disk_everybody_sees_what_is_promised() {
    simulate::<OnDisk>("in the embedded store", 150, 10);
}

#[test]
fn simulation_in_redis_everybody_sees_what_is_promised() {
    simulate::<InRedis>("in Redis", 25, 100);
}

/// Runs so many programs that are the same each time, and as many that are new. `SIMULATION_PROGRAMS` says how many instead,
/// on all cores (where a program takes longer, only that share of them), and `SIMULATION_SEED` with which seed they begin.
fn simulate<P: Place>(place: &str, usual: u64, share: u64) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (asked, first) = (number("SIMULATION_PROGRAMS"), number("SIMULATION_SEED"));
    let programs = asked.map_or(2 * usual, |asked| asked.div_ceil(share));
    let new = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64 % 1_000_000_000 * 1000;
    let seed = |nth| match first {
        Some(first) => first + nth,
        None if nth < usual => nth,
        None => new + nth - usual,
    };
    let threads = if asked.is_some() { std::thread::available_parallelism().map_or(1, usize::from) } else { 1 };
    let (began, next, failed) = (Instant::now(), AtomicU64::new(0), AtomicBool::new(false));
    let told_at = AtomicU64::new(PROGRESS.as_secs());
    let progress = |programs: u64| {
        let (passed, due) = (began.elapsed(), told_at.load(Ordering::SeqCst));
        let is_due = passed.as_secs() >= due;
        let later = passed.as_secs() + PROGRESS.as_secs();
        if is_due && told_at.compare_exchange(due, later, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            let a_second = programs as f64 / passed.as_secs_f64();
            eprintln!("{place}: {programs} programs in {} s, {a_second:.0} a second", passed.as_secs());
        }
    };
    std::thread::scope(|scope| {
        let run = || {
            while let nth = next.fetch_add(1, Ordering::SeqCst)
                && nth < programs
                && !failed.load(Ordering::SeqCst)
            {
                progress(nth);
                let seed = seed(nth);
                if let Err(story) = told::<P>(&story::program(seed)) {
                    failed.store(true, Ordering::SeqCst);
                    panic!("seed {seed}, program {}, after {:?}:\n{story}", nth + 1, began.elapsed());
                }
            }
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        // also waits for what each thread has of its own, like a server
        let ended: Vec<_> = running.into_iter().map(|thread| thread.join()).collect();
        if let Some(panic) = ended.into_iter().find_map(Result::err) {
            std::panic::resume_unwind(panic);
        }
    });
    let new = first.unwrap_or(new);
    eprintln!("{place}: all {programs} programs in {:?}; the new ones begin with seed {new}", began.elapsed());
}

/// Runs a program. Where something is wrong, the shortest story of it.
pub(crate) fn told<P: Place>(program: &[Step]) -> Result<(), String> {
    let Err(first) = run::<P>(program) else { return Ok(()) };
    let mut short = shrink::shrink(program, |program| run::<P>(program).is_err());
    let (at, wrong) = run::<P>(&short).err().unwrap_or_else(|| {
        // what depends on how long a server took for its answers is not wrong each time
        short = program.to_vec();
        first
    });
    let steps = short.iter().take(at + 1).map(|step| format!("  {step}\n")).collect::<String>();
    Err(format!("{steps}{wrong}\n{short:?}"))
}

fn run<P: Place>(program: &[Step]) -> Result<(), (usize, String)> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(!P::IS_ELSEWHERE).build().unwrap();
    runtime.block_on(World::<P>::run(program))
}
