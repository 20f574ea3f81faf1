//! What is measured after each round, and whether it grows.

use std::fmt;
use std::fs;

use crate::ALLOCATOR;

#[derive(Debug, Clone)]
pub(crate) struct Measurement([u64; SERIES.len()]);

/// What must not grow.
struct Series {
    name: &'static str,
    /// By how much its trend may rise over all that is judged, beside what it was.
    bound: u64,
    /// Whether a few measurements are enough to judge it.
    is_exact: bool,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// In the order of [`Measurement::now`].
const SERIES: [Series; 8] = [
    Series { name: "bytes allocated", bound: 256 * KIB, is_exact: false },
    Series { name: "bytes resident", bound: 4 * MIB, is_exact: false },
    Series { name: "file descriptors", bound: 1, is_exact: true },
    Series { name: "threads", bound: 1, is_exact: true },
    Series { name: "tasks", bound: 1, is_exact: true },
    Series { name: "connections", bound: 1, is_exact: true },
    Series { name: "bytes on disk", bound: 256 * KIB, is_exact: false },
    Series { name: "sessions", bound: 20, is_exact: false },
];

impl Measurement {
    pub(crate) fn now(sessions: u64, connections: u64, bytes_on_disk: u64) -> Measurement {
        let allocated = ALLOCATOR.stats();
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        Measurement([
            (allocated.bytes_allocated - allocated.bytes_deallocated) as u64,
            resident(),
            entries("/proc/self/fd"),
            entries("/proc/self/task"),
            tasks as u64,
            connections,
            bytes_on_disk,
            sessions,
        ])
    }
}

/// The system's own memory of this process, where it tells.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or_default() * KIB
}

fn entries(dir: &str) -> u64 {
    fs::read_dir(dir).map_or(0, |entries| entries.count() as u64)
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, (series, value)) in SERIES.iter().zip(self.0).enumerate() {
            write!(f, "{}{} {value}", if nth == 0 { "" } else { ", " }, series.name)?;
        }
        Ok(())
    }
}

#[derive(Default)]
pub(crate) struct Measurements(Vec<Measurement>);

impl Measurements {
    pub(crate) fn add(&mut self, measurement: Measurement) {
        self.0.push(measurement);
    }

    /// Leaves the first quarter out, in which caches fill and threads start. Without enough measurements only what can be
    /// counted one by one is judged.
    pub(crate) fn judge(&self, all: bool) -> Verdict {
        let judged = &self.0[self.0.len() / 4..];
        let of = |at: usize| judged.iter().map(|measurement| measurement.0[at] as f64).collect::<Vec<_>>();
        let trends = (0..SERIES.len()).filter(|at| all || SERIES[*at].is_exact).map(|at| Trend::of(at, &of(at)));
        Verdict(trends.collect())
    }
}

pub(crate) struct Verdict(Vec<Trend>);

/// How much something has grown over all that was judged.
struct Trend {
    series: usize,
    first: f64,
    growth: f64,
}

impl Trend {
    /// The median of the slopes between any two measurements (Theil and Sen): a peak does not bend it.
    fn of(series: usize, values: &[f64]) -> Trend {
        let pairs = (0..values.len()).flat_map(|from| (from + 1..values.len()).map(move |to| (from, to)));
        let mut slopes: Vec<_> = pairs.map(|(from, to)| (values[to] - values[from]) / (to - from) as f64).collect();
        slopes.sort_by(f64::total_cmp);
        let slope = slopes.get(slopes.len() / 2).copied().unwrap_or_default();
        Trend { series, first: values[0], growth: slope * (values.len() - 1) as f64 }
    }

    fn is_good(&self) -> bool {
        self.growth <= SERIES[self.series].bound as f64
    }
}

impl Verdict {
    pub(crate) fn is_good(&self) -> bool {
        self.0.iter().all(Trend::is_good)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for trend in &self.0 {
            let Series { name, bound, .. } = SERIES[trend.series];
            let good = if trend.is_good() { "" } else { "  GROWS" };
            writeln!(f, "{name}: from {:.0}, {:+.0} by its trend, at most {bound}{good}", trend.first, trend.growth)?;
        }
        Ok(())
    }
}
