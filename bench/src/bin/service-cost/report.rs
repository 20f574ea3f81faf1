//! What was found, as a table.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use cloakroom_bench::put_between;

/// Around what is generated.
const BEGIN: &str = "<!-- service-cost: written by the program with --publish -->";
const END: &str = "<!-- end of service-cost -->";

pub struct Report {
    redis: String,
    rounds: usize,
    questions: usize,
    rows: Vec<Row>,
}

struct Row {
    title: &'static str,
    transport: &'static str,
    /// The median and the 99th percentile of each turn, in microseconds.
    turns: Vec<(f64, f64)>,
}

impl Report {
    pub fn new(redis: &str, rounds: usize, questions: usize) -> Report {
        Report { redis: redis.to_owned(), rounds, questions, rows: Vec::new() }
    }

    pub fn add(&mut self, title: &'static str, transport: &'static str, mut times: Vec<Duration>) {
        times.sort_unstable();
        let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64() * 1e6;
        let turn = (at(50), at(99));
        match self.rows.iter_mut().find(|row| (row.title, row.transport) == (title, transport)) {
            Some(row) => row.turns.push(turn),
            None => self.rows.push(Row { title, transport, turns: vec![turn] }),
        }
    }

    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "| who is asked | over | p50 | p99 | p50 beside the constant over the Unix socket |\n\
             | --- | --- | ---: | ---: | ---: |\n",
        );
        // the first row is the constant over the Unix socket
        let constant = self.rows.first().map_or(f64::NAN, |row| median(row.turns.iter().map(|turn| turn.0)));
        for row in &self.rows {
            let p50 = median(row.turns.iter().map(|turn| turn.0));
            let p99 = median(row.turns.iter().map(|turn| turn.1));
            let Row { title, transport, .. } = row;
            let _ = writeln!(text, "| {title} | {transport} | {p50:.1} µs | {p99:.1} µs | {:.2} |", p50 / constant);
        }
        let Report { redis, rounds, questions, .. } = self;
        let _ = write!(text, "\n{redis}. Medians of {rounds} rounds of {questions} questions, one after the other on one connection.\n");
        text
    }

    /// Puts the table into a page, in place of what an earlier run has put there.
    pub fn publish(&self, page: &Path) -> Result<()> {
        Ok(put_between(page, BEGIN, END, &self.markdown())?)
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
