//! How fast the sessions of a store are looked at: never faster than was asked for, so that the applications are not slowed down.

use std::time::Duration;

use clap::Args;
use cloakroom::store::operate::{Inspect, Scanned};
use tokio::time::Instant;

use crate::failure::Failure;

/// About how many keys a server looks at in one step. Its other clients wait during a step.
pub(crate) const STEP: usize = 500;

/// Shared by every verb that looks at many keys.
#[derive(Args, Clone, Copy)]
pub(crate) struct ScanFlags {
    /// The most keys to look at in a second, so that the applications are not slowed down
    #[arg(long, value_name = "KEYS", default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..))]
    rate: u64,
}

/// Keeps to the rate.
pub(crate) struct Pace {
    per_second: u64,
    next: Instant,
}

impl Pace {
    pub(crate) fn new(flags: &ScanFlags) -> Pace {
        Pace { per_second: flags.rate, next: Instant::now() }
    }

    /// Returns how many keys to look at in one step. A slow pace has small steps.
    pub(crate) fn step(&self) -> usize {
        STEP.min(usize::try_from(self.per_second / 10).unwrap_or(STEP)).max(1)
    }

    /// Waits until this many more keys may be looked at.
    pub(crate) async fn wait(&mut self, keys: usize) {
        tokio::time::sleep_until(self.next).await;
        self.next = self.next.max(Instant::now()) + Duration::from_secs_f64(keys as f64 / self.per_second as f64);
    }

    /// The next part of all sessions.
    pub(crate) async fn scan(&mut self, store: &impl Inspect, cursor: Option<&str>) -> Result<Scanned, Failure> {
        self.wait(self.step()).await;
        Ok(store.scan(cursor, self.step()).await?)
    }
}
