//! What is measured after each round, and whether it grows.

use std::fmt;
use std::fs;

use crate::ALLOCATOR;

#[derive(Debug, Clone)]
pub(crate) struct Measurement([u64; SERIES.len()]);

/// What must not grow.
struct Series {
    name: &'static str,
    /// By how much it may rise over all that is judged. Nothing where that says nothing about a leak.
    bound: Option<u64>,
    /// Whether a few measurements are enough to judge it: it is counted one by one.
    is_exact: bool,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// In the order of [`Measurement::now`].
const SERIES: [Series; 8] = [
    Series { name: "bytes allocated", bound: Some(256 * KIB), is_exact: false },
    Series { name: "bytes resident", bound: Some(4 * MIB), is_exact: false },
    Series { name: "file descriptors", bound: Some(2), is_exact: true },
    Series { name: "threads", bound: Some(2), is_exact: true },
    Series { name: "tasks", bound: Some(2), is_exact: true },
    Series { name: "connections", bound: Some(2), is_exact: true },
    Series { name: "bytes on disk", bound: Some(256 * KIB), is_exact: false },
    // they live for seconds, so how many there are goes with how fast the machine is; `World::sessions` knows how many there
    // can be
    Series { name: "sessions", bound: None, is_exact: false },
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

    /// The lower of two readings of the same moment, in what is counted one by one: what comes and goes, like a connection that
    /// is being made anew, is no growth, and what is left behind is in both.
    pub(crate) fn settled(self, other: &Measurement) -> Measurement {
        let mut settled = self;
        for ((value, other), series) in settled.0.iter_mut().zip(other.0).zip(&SERIES) {
            if series.is_exact {
                *value = other.min(*value);
            }
        }
        settled
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

    /// Leaves the first quarter out, in which caches fill and threads start, and judges the trend of the rest.
    pub(crate) fn judge_trends(&self) -> Verdict {
        let judged = self.0.len() / 4..;
        Verdict((0..SERIES.len()).map(|series| Growth::by_trend(series, &self.of(series)[judged.clone()])).collect())
    }

    /// Compares the second half with the first one, in which the same has happened. That is enough for what can be counted
    /// one by one, and for nothing else.
    pub(crate) fn judge_peaks(&self) -> Verdict {
        let exact = (0..SERIES.len()).filter(|series| SERIES[*series].is_exact);
        Verdict(exact.map(|series| Growth::of_peaks(series, self.of(series).split_at(self.0.len() / 2))).collect())
    }

    fn of(&self, series: usize) -> Vec<f64> {
        self.0.iter().map(|measurement| measurement.0[series] as f64).collect()
    }
}

pub(crate) struct Verdict(Vec<Growth>);

/// How much something has grown over all that was judged.
struct Growth {
    series: usize,
    first: f64,
    growth: f64,
}

impl Growth {
    /// The median of the slopes between any two measurements (Theil and Sen): a peak does not bend it.
    fn by_trend(series: usize, values: &[f64]) -> Growth {
        let pairs = (0..values.len()).flat_map(|from| (from + 1..values.len()).map(move |to| (from, to)));
        let mut slopes: Vec<_> = pairs.map(|(from, to)| (values[to] - values[from]) / (to - from) as f64).collect();
        slopes.sort_by(f64::total_cmp);
        let slope = slopes.get(slopes.len() / 2).copied().unwrap_or_default();
        Growth { series, first: values[0], growth: slope * (values.len() - 1) as f64 }
    }

    fn of_peaks(series: usize, (before, after): (&[f64], &[f64])) -> Growth {
        let peak = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        Growth { series, first: peak(before), growth: peak(after) - peak(before) }
    }

    fn is_good(&self) -> bool {
        SERIES[self.series].bound.is_none_or(|bound| self.growth <= bound as f64)
    }
}

impl Verdict {
    pub(crate) fn is_good(&self) -> bool {
        self.0.iter().all(Growth::is_good)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for growth in &self.0 {
            let Series { name, bound, .. } = SERIES[growth.series];
            let allowed = bound.map(|bound| format!(", at most {bound} is allowed")).unwrap_or_default();
            let good = if growth.is_good() { "" } else { "  GROWS" };
            writeln!(f, "{name}: from {:.0} by {:+.0}{allowed}{good}", growth.first, growth.growth)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is measured when only this series is not the same each time.
    fn measured(name: &str, values: impl IntoIterator<Item = u64>) -> Verdict {
        let mut measurements = Measurements::default();
        for value in values {
            measurements.add(Measurement(SERIES.each_ref().map(|series| if series.name == name { value } else { 9 })));
        }
        measurements.judge_trends()
    }

    #[test]
    fn a_machine_that_becomes_faster_is_no_growth_and_what_is_left_behind_is() {
        let an_hour = 0..120;
        assert!(measured("sessions", an_hour.clone().map(|round| 100 + round)).is_good());
        for series in SERIES.iter().filter(|series| series.name != "sessions") {
            let bound = series.bound.expect("it is judged");
            let leaks = measured(series.name, an_hour.clone().map(|round| round * bound / 60));
            assert!(!leaks.is_good(), "{}: {leaks}", series.name);
            assert!(measured(series.name, an_hour.clone().map(|round| 5 + round % 3)).is_good(), "{}", series.name);
        }
    }
}
