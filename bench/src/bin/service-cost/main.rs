//! How long an application waits for the session service, beside an application that uses the library, one that asks Redis
//! itself, and a bare request to a server that answers a constant. Starts all processes itself, and ends them.
//!
//! ```text
//! cargo build --release -p cloakroom-cli
//! cargo run --release --manifest-path bench/Cargo.toml --bin service-cost
//! ```

#![forbid(unsafe_code)]

mod asker;
mod constant;
mod in_process;
mod report;
mod service;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use cloakroom_bench::RedisServer;

use crate::asker::{Address, Asker};
use crate::constant::Constant;
use crate::report::Report;
use crate::service::Service;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");

/// Measures how long an application waits for the answer to "who is this?".
#[derive(Parser)]
struct Flags {
    /// The program whose service is asked.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/cloakroom"))]
    program: PathBuf,
    /// How many times each has its turn.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How many questions one turn has, one after the other.
    #[arg(long, default_value_t = 5_000)]
    questions: usize,
    /// Also writes the table into docs/performance.md.
    #[arg(long)]
    publish: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// A server that answers everything with the same text.
    #[command(hide = true)]
    Constant { socket: PathBuf },
}

#[tokio::main]
async fn main() -> Result<()> {
    let flags = Flags::parse();
    if let Some(Role::Constant { socket }) = &flags.role {
        return constant::serve(socket).await;
    }
    ensure!(flags.rounds > 0 && flags.questions > 0, "--rounds and --questions must be at least 1");
    let report = measure(&flags).await?;
    println!("{}", report.markdown());
    if flags.publish {
        report.publish(Path::new(PAGE))?;
    }
    Ok(())
}

async fn measure(flags: &Flags) -> Result<Report> {
    let mut redis = RedisServer::start()?;
    let directory = tempfile::tempdir()?;
    let constant = Constant::start(directory.path())?;
    let near = Service::start(&flags.program, directory.path(), "near", &["--redis-url", &redis.url()])?;
    let far = Service::start(&flags.program, directory.path(), "far", &["--redis-url", &redis.url(), "--no-near-cache"])?;
    let store = directory.path().join("sessions").display().to_string();
    let embedded = Service::start(&flags.program, directory.path(), "embedded", &["--store", &store])?;
    let in_redis = near.begin_session().await?;
    let on_disk = embedded.begin_session().await?;

    let mut report = Report::new(&format!("Redis {}", redis.version()?), flags.rounds, flags.questions);
    for round in 1..=flags.rounds {
        eprintln!("round {round} of {}", flags.rounds);
        for (transport, is_unix) in [("Unix socket", true), ("TCP", false)] {
            let asked = [
                ("a server that answers a constant", constant.address(is_unix), &in_redis),
                ("the service, Redis + near cache", near.address(is_unix), &in_redis),
                ("the service, Redis", far.address(is_unix), &in_redis),
                ("the service, embedded", embedded.address(is_unix), &on_disk),
            ];
            for (title, address, cookie) in asked {
                report.add(title, transport, turn(&address, cookie, flags.questions).await?);
            }
        }
        let url = redis.url();
        report.add("the library, Redis + near cache", "in the process", in_process::near(&url, &in_redis, flags.questions).await?);
        report.add("the library, Redis", "TCP", in_process::far(&url, &in_redis, flags.questions).await?);
        report.add("one HGETALL by hand", "TCP", in_process::hgetall(&url, &in_redis, flags.questions).await?);
    }
    Ok(report)
}

/// Asks one after the other on one connection, and returns how long each answer took.
async fn turn(address: &Address, cookie: &str, questions: usize) -> Result<Vec<std::time::Duration>> {
    let mut asker = Asker::connect(address).await?;
    // the first answers fill caches, also the service's near cache
    asker.ask_often(cookie, questions / 10 + 1).await?;
    asker.ask_often(cookie, questions).await
}
