//! What a connection sees of its server: until which moment it has certainly heard of every change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::store::redis::moment::Moment;

/// The tracking of one connection. Whatever was read on the connection may be served only as long as its tracking holds.
#[derive(Debug, Default)]
pub(in crate::store::redis) struct Tracking {
    /// The present number of the tracking. Whatever was read under an earlier number is forgotten.
    number: AtomicU64,
    /// The moment when the last answered question left. The connection has heard of every change until then. Zero means that
    /// the connection is blind: nothing is proved.
    proof: AtomicU64,
    is_closed: AtomicBool,
}

/// The state of the tracking when a question leaves. It tells later whether the answer may still be served.
#[derive(Debug, Clone)]
pub(in crate::store::redis) struct TrackingSnapshot {
    tracking: Arc<Tracking>,
    number: u64,
}

impl Tracking {
    pub(in crate::store::redis) fn seen(self: &Arc<Self>) -> TrackingSnapshot {
        TrackingSnapshot { tracking: self.clone(), number: self.number.load(Ordering::SeqCst) }
    }

    /// Notes that a question that left at this moment was answered.
    pub(super) fn prove(&self, asked: Moment) {
        if !self.is_closed.load(Ordering::SeqCst) {
            self.proof.fetch_max(asked.0, Ordering::SeqCst);
        }
    }

    /// Forgets everything that was read until now: nothing of it is served any more.
    pub(in crate::store::redis) fn forget(&self) {
        self.number.fetch_add(1, Ordering::SeqCst);
    }

    /// Forgets everything that was read until now, and serves nothing that is read later until there is a proof again.
    pub(super) fn blind(&self) {
        self.forget();
        self.proof.store(0, Ordering::SeqCst);
    }

    /// Stops serving anything for good, because the connection is lost.
    pub(in crate::store::redis) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.blind();
    }
}

impl TrackingSnapshot {
    /// Returns true if this process would have heard of a change since the snapshot.
    pub(super) fn still_holds(&self, now: Moment, silence_limit: Duration) -> bool {
        let TrackingSnapshot { tracking, number } = self;
        let proof = tracking.proof.load(Ordering::SeqCst);
        tracking.number.load(Ordering::SeqCst) == *number && proof != 0 && now.since(Moment(proof)) <= silence_limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Moment {
        Moment(1) + Duration::from_millis(millis)
    }

    #[test]
    fn a_cached_session_is_served_until_the_limit_after_the_last_sign_of_life() {
        let tracking = Arc::new(Tracking::default());
        let seen = tracking.seen();
        assert!(!seen.still_holds(at(0), LIMIT), "without a proof");
        tracking.prove(at(0));
        assert!(seen.still_holds(at(1000), LIMIT));
        assert!(!seen.still_holds(at(1001), LIMIT));
        tracking.prove(at(900));
        assert!(seen.still_holds(at(1900), LIMIT), "it runs from the proof, not from the read");
        tracking.prove(at(100));
        assert!(seen.still_holds(at(1900), LIMIT), "an older proof takes nothing away");
    }

    #[test]
    fn a_forgotten_session_is_read_again_and_then_served_from_the_cache() {
        let tracking = Arc::new(Tracking::default());
        tracking.prove(at(0));
        let before = tracking.seen();
        tracking.forget();
        let after = tracking.seen();
        assert!(!before.still_holds(at(1), LIMIT) && after.still_holds(at(1), LIMIT));
        tracking.blind();
        let blind = tracking.seen();
        assert!(!after.still_holds(at(1), LIMIT) && !blind.still_holds(at(1), LIMIT));
        tracking.prove(at(2));
        assert!(!after.still_holds(at(2), LIMIT) && blind.still_holds(at(2), LIMIT));
    }

    #[test]
    fn a_lost_connection_proves_nothing_any_more() {
        let tracking = Arc::new(Tracking::default());
        tracking.close();
        tracking.prove(at(5));
        assert!(!tracking.seen().still_holds(at(5), LIMIT));
    }
}
