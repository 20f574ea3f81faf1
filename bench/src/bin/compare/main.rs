//! Loads each application in turn, several rounds, and writes what was found: text, JSON, a picture.

#![forbid(unsafe_code)]

mod processes;
mod report;
mod picture;
mod turn;
mod work;

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use cloakroom_bench::{Kind, Operation};

use crate::report::Report;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Measures Cloakroom beside other session layers, with the same application, sessions, generator and machine.
#[derive(Parser)]
#[command(name = "bench/run")]
struct Arguments {
    /// Only these applications; all by default. Those without sessions are always there: ratios are to them.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Kind>,
    /// Only these operations; signing out needs signing in.
    #[arg(long, value_delimiter = ',')]
    operations: Vec<Operation>,
    /// How many times each application has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// For how long reading, and reading with a change, are loaded in each turn.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many sessions there are.
    #[arg(long, default_value_t = 10_000)]
    sessions: usize,
    /// Where the text, the JSON and the picture are written.
    #[arg(long, default_value = "target/results")]
    output: PathBuf,
    /// Also writes the generated part of docs/performance.md, and the picture beside it and in src/guide/figure.md.
    #[arg(long)]
    publish: bool,
    /// Instead of all this, counts the instructions and allocations of a request with valgrind, and prints how they differ from the
    /// committed figures in work.json. With --publish these are written anew.
    #[arg(long)]
    work: bool,
}

impl Arguments {
    fn kinds(&self) -> Vec<Kind> {
        let chosen = |kind: &Kind| {
            self.only.is_empty() || self.only.contains(kind) || self.only.iter().any(|wanted| wanted.plain() == *kind)
        };
        Kind::value_variants().iter().copied().filter(chosen).collect()
    }

    fn operations(&self) -> Vec<Operation> {
        if self.operations.is_empty() { Operation::ALL.to_vec() } else { self.operations.clone() }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.work {
        return work::report(arguments.publish);
    }
    if arguments.rounds == 0 || arguments.seconds == 0 || arguments.sessions == 0 {
        return Err("--rounds, --seconds and --sessions must be at least 1".into());
    }
    let operations = arguments.operations();
    if operations.contains(&Operation::SignOut) && !operations.contains(&Operation::SignIn) {
        return Err("--operations sign-out needs sign-in: what it ends was signed in before".into());
    }
    let mut report = Report::new(&arguments)?;
    for round in 1..=arguments.rounds {
        for kind in arguments.kinds() {
            eprintln!("round {round} of {}: {}", arguments.rounds, kind.title());
            report.add(kind, turn::measure(kind, &arguments)?);
        }
    }
    eprintln!("memory");
    report.memory = memory(&arguments)?;

    let text = report.markdown();
    println!("{text}");
    fs::create_dir_all(&arguments.output)?;
    fs::write(arguments.output.join("comparison.md"), &text)?;
    fs::write(arguments.output.join("comparison.json"), serde_json::to_string_pretty(&report)?)?;
    fs::write(arguments.output.join("performance.svg"), picture::draw(&report))?;
    if arguments.publish {
        report::publish(&text, &picture::draw(&report))?;
    }
    Ok(())
}

fn memory(arguments: &Arguments) -> Result<Vec<report::MemoryRow>> {
    let mut rows = Vec::new();
    for long in [false, true] {
        rows.push(report::MemoryRow::new(
            "JSON string at one key",
            long,
            64,
            turn::memory_of_json(arguments.sessions, long)?,
        ));
        for kind in arguments.kinds() {
            // what the framework is makes no difference to what is stored
            let in_redis = !matches!(
                kind,
                Kind::CloakroomEmbedded
                    | Kind::CloakroomNear
                    | Kind::CloakroomActixEmbedded
                    | Kind::CloakroomActixRedis
                    | Kind::TowerSessionsMemory
            );
            if !in_redis || !kind.does(Operation::SignIn) {
                continue;
            }
            let limits: &[u32] = if kind == Kind::CloakroomRedis { &[64, 1024] } else { &[64] };
            for limit in limits {
                for found in turn::memory(kind, arguments.sessions, long, *limit)? {
                    rows.push(report::MemoryRow::new(kind.title(), long, *limit, found));
                }
            }
        }
    }
    Ok(rows)
}
