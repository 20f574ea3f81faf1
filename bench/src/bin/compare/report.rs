//! Medians and ratios of what was measured, as text.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cloakroom_bench::{Kind, Operation, put_between};
use serde::Serialize;

use crate::turn::{Measured, Memory};
use crate::{Arguments, Result};

#[derive(Serialize)]
pub struct Report {
    pub machine: String,
    pub redis: String,
    pub rounds: usize,
    pub seconds: u64,
    pub sessions: usize,
    pub rows: Vec<Row>,
    pub memory: Vec<MemoryRow>,
}

/// One application doing one thing, every turn of it.
#[derive(Serialize)]
pub struct Row {
    #[serde(skip)]
    pub kind: Kind,
    #[serde(skip)]
    pub operation: Operation,
    pub application: &'static str,
    pub doing: &'static str,
    pub turns: Vec<Measured>,
}

#[derive(Serialize)]
pub struct MemoryRow {
    pub application: String,
    pub long_value: bool,
    pub hash_max_listpack_value: u32,
    #[serde(flatten)]
    pub memory: Memory,
}

impl MemoryRow {
    pub fn new(application: &str, long_value: bool, hash_max_listpack_value: u32, memory: Memory) -> MemoryRow {
        MemoryRow { application: application.to_owned(), long_value, hash_max_listpack_value, memory }
    }
}

impl Row {
    pub fn median(&self, of: impl Fn(&Measured) -> f64) -> f64 {
        let mut values: Vec<f64> = self.turns.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
    }

    pub fn rate(&self) -> f64 {
        self.median(|turn| turn.requests_per_second)
    }
}

impl Report {
    pub fn new(arguments: &Arguments) -> Result<Report> {
        Ok(Report {
            machine: machine()?,
            redis: said_by("redis-server", &["--version"])?,
            rounds: arguments.rounds,
            seconds: arguments.seconds,
            sessions: arguments.sessions,
            rows: Vec::new(),
            memory: Vec::new(),
        })
    }

    pub fn add(&mut self, kind: Kind, found: Vec<(Operation, Measured)>) {
        for (operation, measured) in found {
            match self.rows.iter_mut().find(|row| row.kind == kind && row.operation == operation) {
                Some(row) => row.turns.push(measured),
                None => self.rows.push(Row {
                    kind,
                    operation,
                    application: kind.title(),
                    doing: operation.title(),
                    turns: vec![measured],
                }),
            }
        }
    }

    pub fn row(&self, kind: Kind, operation: Operation) -> Option<&Row> {
        self.rows.iter().find(|row| row.kind == kind && row.operation == operation)
    }

    /// Requests a second beside the same framework's read without sessions.
    pub fn ratio(&self, row: &Row) -> Option<f64> {
        Some(row.rate() / self.row(row.kind.plain(), Operation::Read)?.rate())
    }

    pub fn markdown(&self) -> String {
        let mut text = format!(
            "{}. {}. {} sessions, {} rounds, {} seconds of each read and each change, every session once for signing in \
             and out, {} connections. Medians.\n",
            self.machine,
            self.redis,
            self.sessions,
            self.rounds,
            self.seconds,
            crate::processes::CONNECTIONS,
        );
        for operation in Operation::ALL {
            self.write_operation(&mut text, operation);
        }
        self.write_memory(&mut text);
        text
    }

    fn write_operation(&self, text: &mut String, operation: Operation) {
        let rows: Vec<&Row> = self.rows.iter().filter(|row| row.operation == operation).collect();
        if rows.is_empty() {
            return;
        }
        let _ = write!(
            text,
            "\n### {}\n\n| | requests/s | beside no sessions | p50 | p99 | application CPU | Redis CPU | Redis commands |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
            heading(operation),
        );
        for row in &rows {
            let ratio = self.ratio(row).map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            let _ = writeln!(
                text,
                "| {} | {:.0} | {ratio} | {:.2} ms | {:.2} ms | {:.1} µs | {:.1} µs | {:.2} |",
                row.application,
                row.rate(),
                row.median(|turn| turn.p50_us) / 1000.0,
                row.median(|turn| turn.p99_us) / 1000.0,
                row.median(|turn| turn.application_cpu_us),
                row.median(|turn| turn.redis_cpu_us),
                row.median(|turn| turn.redis_commands),
            );
        }
        rows.iter().for_each(|row| Self::write_still_read(text, row));
    }

    fn write_still_read(text: &mut String, row: &Row) {
        let still_read: u64 = row.turns.iter().map(|turn| turn.still_read).sum();
        let signed_out: u64 = row.turns.iter().map(|turn| turn.requests).sum();
        if still_read > 0 {
            let _ = write!(
                text,
                "\n{}: {still_read} of {signed_out} sessions were still read afterwards.\n",
                row.application
            );
        }
    }

    fn write_memory(&self, text: &mut String) {
        if self.memory.is_empty() {
            return;
        }
        text.push_str(
            "\n### Memory in Redis, bytes a session\n\n| | longest value | hash-max-listpack-value | of all | beside JSON | \
             the key alone |\n| --- | ---: | ---: | ---: | ---: | ---: |\n",
        );
        let mut json = BTreeMap::new();
        for row in &self.memory {
            // the JSON string comes first in each half
            let beside = *json.entry(row.long_value).or_insert(row.memory.used);
            let _ = writeln!(
                text,
                "| {}, {} | {} | {} | {:.0} | {:.2} | {:.0} |",
                row.application,
                row.memory.what,
                if row.long_value { 180 } else { 58 },
                row.hash_max_listpack_value,
                row.memory.used,
                row.memory.used / beside,
                row.memory.key,
            );
        }
    }
}

fn heading(operation: Operation) -> &'static str {
    match operation {
        Operation::Read => "Read",
        Operation::Change => "Read + change",
        Operation::SignIn => "Sign in",
        Operation::SignOut => "Sign out",
    }
}

fn machine() -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let models: Vec<&str> =
        cpus.lines().filter(|line| line.starts_with("model name")).filter_map(|line| line.split(": ").nth(1)).collect();
    let model = models.first().copied().unwrap_or("unknown processor");
    Ok(format!("{} cores of {model}, Linux {}", models.len(), said_by("uname", &["-r"])?))
}

fn said_by(program: &str, arguments: &[&str]) -> Result<String> {
    let output = std::process::Command::new(program).args(arguments).output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split(" sha=").next().unwrap_or_default().trim().to_owned())
}

const BEGIN: &str = "<!-- comparison: written by bench/run --publish -->";
const END: &str = "<!-- end of comparison -->";

/// Replaces the generated part of the page, and the picture: as a file for GitHub, and inside a link for rustdoc.
pub fn publish(text: &str, picture: &str) -> Result<()> {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
    put_between(Path::new(&format!("{docs}/performance.md")), BEGIN, END, &format!("\n{text}\n"))?;
    fs::write(format!("{docs}/performance.svg"), picture)?;
    let definition = format!("[performance.svg]: data:image/svg+xml;base64,{}\n", BASE64.encode(picture));
    fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../src/guide/figure.md"), definition)?;
    Ok(())
}
