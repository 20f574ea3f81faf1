//! What a connection sees of its server: up to when it has surely heard of every change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::moment::Moment;

/// One connection's. Whatever was read by it is good for as long as this stands.
#[derive(Debug, Default)]
pub(in crate::store::redis) struct Tracking {
    /// What was read under an earlier number is forgotten.
    number: AtomicU64,
    /// A question that left then was answered, and with it everything that had changed until then. 0: blind.
    proof: AtomicU64,
    is_closed: AtomicBool,
}

/// What a question that leaves now is seen by.
#[derive(Debug, Clone)]
pub(in crate::store::redis) struct TrackingSnapshot {
    tracking: Arc<Tracking>,
    number: u64,
}

impl Tracking {
    pub(in crate::store::redis) fn seen(self: &Arc<Self>) -> TrackingSnapshot {
        TrackingSnapshot { tracking: self.clone(), number: self.number.load(Ordering::SeqCst) }
    }

    /// A question that left at this moment was answered.
    pub(super) fn prove(&self, asked: Moment) {
        if !self.is_closed.load(Ordering::SeqCst) {
            self.proof.fetch_max(asked.0, Ordering::SeqCst);
        }
    }

    /// Nothing that was read until now is served any more.
    pub(in crate::store::redis) fn forget(&self) {
        self.number.fetch_add(1, Ordering::SeqCst);
    }

    /// Neither this nor anything that is read from now on, until there is a proof again.
    pub(super) fn blind(&self) {
        self.forget();
        self.proof.store(0, Ordering::SeqCst);
    }

    /// For good: the connection is lost.
    pub(in crate::store::redis) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.blind();
    }
}

impl TrackingSnapshot {
    /// Whether a change since then would have been heard of.
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
