//! Time as it really passes for this machine: it goes on while the machine is suspended, and does not depend on what the
//! clock is set to.

use std::ops::Add;
use std::time::Duration;

/// A point in time, in nanoseconds. It can only be compared within this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Moment(pub(super) u64);

impl Moment {
    /// Returns the present moment. Linux's usual monotonic clock is not used: it stands still while the machine sleeps, and
    /// in that time others may end sessions.
    #[cfg(target_os = "linux")]
    pub(super) fn now() -> Moment {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Moment(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn now() -> Moment {
        use std::sync::LazyLock;
        use std::time::Instant;

        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        Moment(START.elapsed().as_nanos() as u64)
    }

    pub(super) fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, time: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }
}
