//! How much work a request is: instructions and allocations of the application, counted by valgrind. Unlike a time they are about the
//! same on every machine and in every run, so a small loss shows at once.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use cloakroom_bench::{Kind, Operation};

use crate::Result;
use crate::processes::{Application, Redis, Tool};
use crate::turn;

/// Whose work is counted. The framework alone, and the client's part of one HGETALL, are not ours; the nearest rival stands beside.
const KINDS: [Kind; 6] = [
    Kind::AxumLayer,
    Kind::CloakroomEmbedded,
    Kind::CloakroomNear,
    Kind::CloakroomRedis,
    Kind::OneHgetall,
    Kind::TowerSessionsRedis,
];
const OPERATIONS: [Operation; 2] = [Operation::Read, Operation::Change];
const SESSIONS: usize = 2_000;
/// The figures that are committed, to which new ones are compared.
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/work.json");

/// What is counted, for each request, by what is done and by whom.
type Counts = BTreeMap<String, BTreeMap<String, u64>>;

/// Counts, and prints the figures with their difference from the committed ones. `publish` commits them.
pub fn report(publish: bool) -> Result<()> {
    let committed: Counts = match fs::read_to_string(COMMITTED) {
        Ok(text) => serde_json::from_str(&text)?,
        Err(_) => Counts::new(),
    };
    let counts = count()?;
    println!("{}", markdown(&counts, &committed));
    if publish {
        fs::write(COMMITTED, serde_json::to_string_pretty(&counts)? + "\n")?;
    }
    Ok(())
}

fn count() -> Result<Counts> {
    let mut counts = Counts::new();
    for kind in KINDS {
        for operation in OPERATIONS.into_iter().filter(|operation| kind.does(*operation)) {
            let title = format!("{}, {}", kind.title(), operation.title());
            eprintln!("{title}");
            for (what, tool) in [("instructions", Tool::Instructions), ("allocations", Tool::Allocations)] {
                // the same with and without the requests: what is left is theirs
                let all = total(kind, Some(operation), tool)?;
                let without = total(kind, None, tool)?;
                let each = all.saturating_sub(without) / SESSIONS as u64;
                counts.entry(title.clone()).or_default().insert(what.to_owned(), each);
            }
        }
    }
    Ok(counts)
}

/// What the application did in all, from its start to its end.
fn total(kind: Kind, operation: Option<Operation>, tool: Tool) -> Result<u64> {
    let directory = tempfile::tempdir()?;
    let redis = Redis::start(directory.path(), &[])?;
    let application = Application::start_under(tool, kind, &redis, directory.path())?;
    turn::each_session_once(kind, operation, SESSIONS, &redis, directory.path(), &application)?;
    application.counted(tool)
}

fn markdown(counts: &Counts, committed: &Counts) -> String {
    let mut text =
        String::from("| for each request | instructions | | allocations | |\n| --- | --- | --- | --- | --- |\n");
    for (title, each) in counts {
        let _ = write!(text, "| {title} ");
        for (what, count) in each.iter().rev() {
            let before = committed.get(title).and_then(|each| each.get(what));
            let difference = before.map_or("new".to_owned(), |before| {
                format!("{:+.1} %", 100.0 * (*count as f64 / (*before).max(1) as f64 - 1.0))
            });
            let _ = write!(text, "| {count} | {difference} ");
        }
        text.push_str("|\n");
    }
    text
}
