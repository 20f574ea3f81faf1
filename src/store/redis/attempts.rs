//! Who waits for what while a server is away.
//!
//! A connection is made again and again, with pauses. A call that comes meanwhile does not wait until one stands, which may
//! be for ever. It waits for one attempt where that is quick to fail: a server that has just closed a connection, or refused
//! one, may be there again by now. Where a server has not answered in time, the call fails at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backon::BackoffBuilder;
use tokio::sync::{Notify, watch};

/// The shortest pause between two attempts, however many calls want one.
const LEAST_DELAY: Duration = Duration::from_millis(20);
const LONGEST_DELAY: Duration = Duration::from_secs(1);

pub(super) struct Attempts {
    /// The server gave no answer in time.
    hangs: AtomicBool,
    /// Tells that an attempt is over.
    over: watch::Sender<()>,
    /// Somebody wants one soon.
    wanted: Notify,
}

impl Attempts {
    pub(super) fn new() -> Attempts {
        Attempts { hangs: AtomicBool::new(false), over: watch::Sender::new(()), wanted: Notify::new() }
    }

    /// A connection was lost, because its server hangs or for another reason. The first attempt follows.
    pub(super) fn begin(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
    }

    /// An attempt is over, and what came of it is there for all to see.
    pub(super) fn end(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
        self.over.send_replace(());
    }

    /// Waits for the attempt that is under way, or for a new one, while `is_away` and if it may be quick; at most this long.
    pub(super) async fn wait(&self, is_away: impl Fn() -> bool, longest: Duration) {
        // before the look, so that no attempt ends between the two
        let mut over = self.over.subscribe();
        if is_away() && !self.hangs.load(Ordering::SeqCst) {
            self.wanted.notify_one();
            let _ = tokio::time::timeout(longest, over.changed()).await;
        }
    }

    /// Pauses before the next attempt; shorter where somebody wants one.
    pub(super) async fn pause(&self, delay: Duration) {
        tokio::time::sleep(LEAST_DELAY).await;
        let _ = tokio::time::timeout(delay.saturating_sub(LEAST_DELAY), self.wanted.notified()).await;
    }
}

/// The pauses between attempts, without an end.
pub(super) fn delays() -> impl Iterator<Item = Duration> {
    backon::ExponentialBuilder::new()
        .with_min_delay(LEAST_DELAY)
        .with_max_delay(LONGEST_DELAY)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}
