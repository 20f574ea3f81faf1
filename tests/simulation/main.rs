//! Users, browsers and servers over one store for simulated weeks, and an oracle that knows only what is documented.
#![allow(missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod faults;
mod oracle;
mod place;
mod server;
mod shrink;
mod stories;
mod story;
mod world;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use place::{InMemory, OnDisk, Place};
use story::Step;
use world::World;

#[test]
fn in_memory_everybody_sees_what_is_promised() {
    simulate::<InMemory>(1_500);
}

#[test]
fn on_disk_everybody_sees_what_is_promised() {
    simulate::<OnDisk>(150);
}

/// Runs programs: the same ones each time, and others that are new. `SIMULATION_PROGRAMS` says how many in all, and
/// `SIMULATION_SEED` with which seed they begin.
fn simulate<P: Place>(usual: u64) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let programs = number("SIMULATION_PROGRAMS").unwrap_or(2 * usual);
    let new = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64 % 1_000_000_000 * 1000;
    let seeds: Box<dyn Iterator<Item = u64>> = match number("SIMULATION_SEED") {
        Some(seed) => Box::new(seed..seed + programs),
        None => Box::new((0..programs.min(usual)).chain((new..).take(programs.saturating_sub(usual) as usize))),
    };
    let began = Instant::now();
    for (nth, seed) in seeds.enumerate() {
        if let Err(story) = told::<P>(&story::program(seed)) {
            panic!("seed {seed}, program {}, after {:?}:\n{story}", nth + 1, began.elapsed());
        }
    }
    eprintln!("{programs} programs in {:?}; new seeds from {new}", began.elapsed());
}

/// Runs a program. Where something is wrong, the shortest story of it.
pub(crate) fn told<P: Place>(program: &[Step]) -> Result<(), String> {
    if run::<P>(program).is_ok() {
        return Ok(());
    }
    let short = shrink::shrink(program, |program| run::<P>(program).is_err());
    let (at, wrong) = run::<P>(&short).expect_err("it is wrong each time");
    let steps = short.iter().take(at + 1).map(|step| format!("  {step}\n")).collect::<String>();
    Err(format!("{steps}{wrong}\n{short:?}"))
}

fn run<P: Place>(program: &[Step]) -> Result<(), (usize, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(World::<P>::run(program))
}
