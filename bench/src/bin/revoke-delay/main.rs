//! How long after an acknowledged revoke the last of several servers still accepts a session, each with a near cache of its
//! own, while other sessions are written to. Starts a redis-server and all processes itself, and ends them.
//!
//! `cargo run --release --manifest-path bench/Cargo.toml --bin revoke-delay`

mod conductor;
mod report;
mod told;
mod watcher;
mod writer;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use cloakroom::{
    SessionId,
    store::{Credentials, SecretHash},
};
use rustix::time::{ClockId, clock_gettime};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");

/// Measures how long after a revoke the last of several servers still accepts the session.
#[derive(Debug, Parser)]
struct Flags {
    /// How many sessions are revoked, one after the other.
    #[arg(long, default_value_t = 1000)]
    revokes: u32,
    /// How many server processes there are.
    #[arg(long, default_value_t = 4)]
    servers: usize,
    /// How many changes of other sessions a second; 0 for none.
    #[arg(long, default_value_t = 20_000)]
    writes: u32,
    /// Where the figures are written as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Also writes them into docs/performance.md.
    #[arg(long)]
    publish: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

// what the processes do that this one starts; as documentation it would be the program's
#[derive(Debug, Subcommand)]
enum Role {
    /// A server that reads the sessions which it is told.
    #[command(hide = true)]
    Watch { redis: String },
    /// The other traffic.
    #[command(hide = true)]
    Write { redis: String, rate: u32 },
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    match &flags.role {
        Some(Role::Watch { redis }) => watcher::watch(redis),
        Some(Role::Write { redis, rate }) => writer::write(redis, *rate),
        None => {
            ensure!(flags.revokes > 0 && flags.servers > 0, "--revokes and --servers must be at least 1");
            let report = conductor::conduct(&flags)?;
            print!("{}", report.text());
            if let Some(path) = &flags.json {
                std::fs::write(path, report.json()?)?;
            }
            if flags.publish {
                report.publish(Path::new(PAGE))?;
            }
            ensure!(report.lost == 0, "{} revokes did not reach every server", report.lost);
            Ok(())
        }
    }
}

/// Nanoseconds of the clock that all processes of a machine share. (clock_gettime(2), `CLOCK_MONOTONIC`)
fn monotonic() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// What a browser would show for the session with this number. Nothing here needs to be secret; a canonical text ends in A.
fn presented(group: char, number: u32) -> Credentials {
    let id = SessionId::parse(&format!("{group}{number:020}A")).expect("22 characters of base64url");
    let secret_hash = SecretHash::parse(&format!("{group}{number:041}A"));
    Credentials { id, secret_hash }
}

/// The sessions that are revoked, and those that are written to meanwhile.
const REVOKED: char = 'r';
const WRITTEN: char = 'w';
const WRITTEN_SESSIONS: u32 = 10_000;
