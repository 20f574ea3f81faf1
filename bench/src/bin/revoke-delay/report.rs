//! What was found: text and JSON.

use std::path::Path;

use anyhow::Result;
use cloakroom_bench::put_between;
use serde::Serialize;

use super::Flags;

/// Around what is generated.
const BEGIN: &str = "<!-- revoke-delay: written by the program with --publish -->";
const END: &str = "<!-- end of revoke-delay -->";

#[derive(Debug, Serialize)]
pub struct Report {
    redis: String,
    servers: usize,
    revokes: u32,
    wanted_writes_per_second: u32,
    pub writes_per_second: f64,
    /// How many revokes at least one server did not notice.
    pub lost: u32,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    /// Of each revoke, until the last server refused; in order of length.
    delays_ms: Vec<f64>,
}

impl Report {
    pub fn new(flags: &Flags, redis: String) -> Report {
        Report {
            redis,
            servers: flags.servers,
            revokes: flags.revokes,
            wanted_writes_per_second: flags.writes,
            writes_per_second: 0.0,
            lost: 0,
            p50_ms: 0.0,
            p99_ms: 0.0,
            max_ms: 0.0,
            delays_ms: Vec::new(),
        }
    }

    /// A server may refuse before the revoke is acknowledged: that is no delay.
    pub fn add(&mut self, acknowledged: i64, refused: &[Option<i64>]) {
        let last = refused.iter().copied().collect::<Option<Vec<_>>>();
        match last.and_then(|at| at.into_iter().max()) {
            Some(last) => self.delays_ms.push((last - acknowledged).max(0) as f64 / 1e6),
            None => self.lost += 1,
        }
    }

    /// The figures, once all is added.
    pub fn compute(&mut self) {
        self.delays_ms.sort_by(f64::total_cmp);
        self.p50_ms = self.percentile(0.50);
        self.p99_ms = self.percentile(0.99);
        self.max_ms = self.percentile(1.0);
    }

    /// The nearest rank; nothing where every revoke was lost.
    fn percentile(&self, part: f64) -> f64 {
        let rank = (part * self.delays_ms.len() as f64).ceil() as usize;
        self.delays_ms.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    pub fn text(&self) -> String {
        let Report { redis, servers, revokes, lost, p50_ms, p99_ms, max_ms, .. } = self;
        let (wanted, writes) = (self.wanted_writes_per_second, self.writes_per_second);
        format!(
            "| revokes | servers | writes beside it | p50 | p99 | longest | lost |\n\
             | --- | --- | --- | --- | --- | --- | --- |\n\
             | {revokes} | {servers} | {writes:.0} a second ({wanted} wanted) | {p50_ms:.2} ms | {p99_ms:.2} ms | \
             {max_ms:.2} ms | {lost} |\n\n\
             Redis {redis}\n"
        )
    }

    /// Puts the text into a page, in place of what an earlier run has put there.
    pub fn publish(&self, page: &Path) -> Result<()> {
        Ok(put_between(page, BEGIN, END, &self.text())?)
    }

    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }
}
