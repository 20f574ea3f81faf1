//! How long calls wait while a server is away.
//!
//! A background task tries again and again to connect, with pauses between the attempts. A call that comes in the meantime does
//! not wait until a connection exists, because that may take for ever. If the server has just closed or refused a connection, it
//! may be back already, and an attempt ends quickly, so the call waits for one attempt. If the server did not answer in time, the
//! call fails at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backon::BackoffBuilder;
use tokio::sync::{Notify, watch};

/// The shortest pause between two attempts, even if many calls want a new attempt.
const LEAST_DELAY: Duration = Duration::from_millis(20);
const LONGEST_DELAY: Duration = Duration::from_secs(1);

pub(super) struct Attempts {
    /// Whether the server did not answer in time.
    hangs: AtomicBool,
    /// Tells all waiting calls that an attempt is over.
    over: watch::Sender<()>,
    /// Tells the background task that a call wants an attempt soon.
    wanted: Notify,
}

impl Attempts {
    pub(super) fn new() -> Attempts {
        Attempts { hangs: AtomicBool::new(false), over: watch::Sender::new(()), wanted: Notify::new() }
    }

    /// Notes that a connection was lost, either because its server hangs or for another reason. The first attempt follows.
    pub(super) fn begin(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
    }

    /// Notes that an attempt is over. All calls can already see its result.
    pub(super) fn end(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
        self.over.send_replace(());
    }

    /// Waits until the running attempt, or a new one, is over, but at most for `longest`. Does not wait if the server is not away
    /// (`is_away`), or if it hangs.
    pub(super) async fn wait(&self, is_away: impl Fn() -> bool, longest: Duration) {
        // subscribe before the check, so that no attempt can end unnoticed between the two
        let mut over = self.over.subscribe();
        if is_away() && !self.hangs.load(Ordering::SeqCst) {
            self.wanted.notify_one();
            let _ = tokio::time::timeout(longest, over.changed()).await;
        }
    }

    /// Pauses before the next attempt. The pause is shorter if a call wants an attempt.
    pub(super) async fn pause(&self, delay: Duration) {
        tokio::time::sleep(LEAST_DELAY).await;
        let _ = tokio::time::timeout(delay.saturating_sub(LEAST_DELAY), self.wanted.notified()).await;
    }
}

/// Returns the pauses between the attempts. The list never ends.
pub(super) fn delays() -> impl Iterator<Item = Duration> {
    backon::ExponentialBuilder::new()
        .with_min_delay(LEAST_DELAY)
        .with_max_delay(LONGEST_DELAY)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}
