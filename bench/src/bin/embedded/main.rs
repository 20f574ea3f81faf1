//! The embedded store beside the bare map and the stores of others, each in a process of its own, so that the memory of
//! one is not that of another.
//!
//! ```text
//! embedded                      a million sessions, 3 seconds for each figure
//! embedded --sessions 100000 --seconds 1
//! ```
//!
//! Prints a table, then the same figures as JSON.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

mod bare;
mod load;
mod ours;
mod theirs;

use load::Figures;

/// Each is measured in its own process, in this order.
const STORES: [&str; 4] = ["bare map", "embedded", "tower-sessions memory", "tower-sessions sqlite"];

/// How much is measured.
#[derive(Clone, Copy)]
struct Size {
    sessions: usize,
    seconds: u64,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: usize| {
        let at = args.iter().position(|arg| arg == name);
        at.map_or(default, |at| args[at + 1].parse().unwrap_or_else(|_| panic!("{name} takes a number")))
    };
    let size = Size { sessions: number("--sessions", 1_000_000), seconds: number("--seconds", 3) as u64 };
    match args.iter().position(|arg| arg == "--only") {
        Some(at) => println!("{}", serde_json::to_string(&measure(&args[at + 1], size)).unwrap()),
        None => report(&args, size),
    }
}

fn measure(store: &str, size: Size) -> Figures {
    match store {
        "bare map" => bare::measure(size),
        "embedded" => ours::measure(size),
        "tower-sessions memory" => theirs::measure_memory(size),
        "tower-sessions sqlite" => theirs::measure_sqlite(size),
        _ => panic!("one of {STORES:?}"),
    }
}

fn report(args: &[String], size: Size) {
    println!("{} sessions, {} s for each figure, load before: {}", size.sessions, size.seconds, load_average());
    let mut all = BTreeMap::new();
    for store in STORES {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let output = child.args(["--only", store]).args(args).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "{store} could not be measured");
        let figures: Figures = serde_json::from_slice(&output.stdout).unwrap();
        println!("\n{store}");
        for (name, figure) in &figures {
            println!("  {name:<48} {figure:>12.2}");
        }
        all.insert(store, figures);
    }
    println!("\nratios");
    for (what, (store, figure), (other, other_figure)) in RATIOS {
        if let (Some(one), Some(two)) = (all[store].get(figure), all[other].get(other_figure)) {
            println!("  {what:<60} {:>8.2}", one / two);
        }
    }
    println!("load after: {}", load_average());
    println!("\n{}", serde_json::to_string(&all).unwrap());
}

type Of = (&'static str, &'static str);

/// The first is divided by the second.
const RATIOS: [(&str, Of, Of); 9] = [
    ("a load costs, of the bare map's, 1 thread", ("embedded", LOAD_1), ("bare map", LOAD_1)),
    ("a load costs, of the bare map's, 2 threads", ("embedded", LOAD_2), ("bare map", LOAD_2)),
    ("the mix, of the bare map's, 1 thread", ("embedded", "mix/s, 1 thread"), ("bare map", "mix/s, 1 thread")),
    ("the mix, of the bare map's, 2 threads", ("embedded", "mix/s, 2 threads"), ("bare map", "mix/s, 2 threads")),
    ("kill -9 safe changes, of SQLite's (NORMAL), 1 task", KILL_SAFE_1, ("tower-sessions sqlite", KILL_SAFE_1.1)),
    ("kill -9 safe changes, of SQLite's (NORMAL), 16 tasks", KILL_SAFE_16, ("tower-sessions sqlite", KILL_SAFE_16.1)),
    ("changes on the disk, of SQLite's (FULL), 1 task", ON_DISK_1, ("tower-sessions sqlite", ON_DISK_1.1)),
    ("changes on the disk, of SQLite's (FULL), 16 tasks", ON_DISK_16, ("tower-sessions sqlite", ON_DISK_16.1)),
    ("a restart, of what it takes at least", ("embedded", "restart, s"), ("embedded", ours::AT_LEAST)),
];
const LOAD_1: &str = "loads/s, 1 thread: ns of a core each";
const LOAD_2: &str = "loads/s, 2 threads: ns of a core each";
const KILL_SAFE_1: Of = ("embedded", "kill -9 safe changes/s, 1 task");
const KILL_SAFE_16: Of = ("embedded", "kill -9 safe changes/s, 16 tasks");
const ON_DISK_1: Of = ("embedded", "changes on the disk/s, 1 task");
const ON_DISK_16: Of = ("embedded", "changes on the disk/s, 16 tasks");

fn load_average() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim_end().to_owned()
}
