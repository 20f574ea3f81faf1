//! The names of all metrics. The guide page [Metrics and traces](crate::guide::metrics) lists their labels and what they count.
//!
//! The library records them with the facade of the crate `metrics`. Your application chooses the recorder, and where the numbers go:
//!
//! ```
//! use cloakroom::{Config, Sessions, metrics, store::Memory};
//!
//! // this recorder keeps the numbers in memory; in production use one that exports them
//! let recorder = metrics_util::debugging::DebuggingRecorder::new();
//! let numbers = recorder.snapshotter();
//! recorder.install().expect("no other recorder is installed");
//!
//! let sessions = Sessions::new(Memory::new(), Config::default());
//! assert_eq!(metrics::SIGN_INS, "cloakroom_sign_ins_total");
//! # drop((sessions, numbers));
//! ```

use metrics::Unit;

/// Defines everything from one table: a constant for each name, and the description that a recorder is given.
macro_rules! table {
    ($($describe:ident $constant:ident $name:literal $unit:ident $text:literal)*) => {
        $(
            #[doc = $text]
            pub const $constant: &str = $name;
        )*

        /// The names of all metrics.
        pub const NAMES: &[&str] = &[$($constant),*];

        /// Gives the recorder the unit and the description of each metric. [`Sessions::new`](crate::Sessions::new) does this as well.
        /// Call it yourself only if you install the recorder after that.
        pub fn describe() {
            $(metrics::$describe!($constant, Unit::$unit, $text);)*
        }
    };
}

table! {
    describe_histogram STORE_SECONDS "cloakroom_store_duration_seconds" Seconds
        "How long the store took to answer or to fail, by verb."
    describe_counter STORE_ERRORS "cloakroom_store_errors_total" Count
        "Calls to the store that failed, by verb and kind."
    describe_counter LOADS "cloakroom_loads_total" Count
        "Sessions that were looked up, by outcome."
    describe_counter CREATED "cloakroom_created_total" Count
        "Sessions that were created."
    describe_counter TOUCHES "cloakroom_touches_total" Count
        "Changes that only extended a session."
    describe_counter COMMITS "cloakroom_commits_total" Count
        "Requests whose deferred changes were stored."
    describe_counter CONFLICTS "cloakroom_conflicts_total" Count
        "Changes that lost against a change of another request."
    describe_counter REFUSALS "cloakroom_refusals_total" Count
        "Changes and requests that were refused, by reason."
    describe_counter SIGN_INS "cloakroom_sign_ins_total" Count
        "Sign-ins: users who were bound to a session."
    describe_counter ADOPTED "cloakroom_adopted_total" Count
        "Visitors who were taken over from the sessions that the application had before."
    describe_counter ROTATIONS "cloakroom_rotations_total" Count
        "New secrets that sessions were given without a sign-in."
    describe_counter REPLAYS "cloakroom_replays_total" Count
        "Previous secrets that were presented after their grace."
    describe_counter REVOKES "cloakroom_revokes_total" Count
        "Sessions that were ended on purpose, by reason."
    describe_counter EVICTED "cloakroom_evicted_total" Count
        "Sessions that were ended to make room for a new sign-in of their user."
    describe_counter NEAR_HITS "cloakroom_near_hits_total" Count
        "Sessions that were looked up in the near cache and served from it."
    describe_counter NEAR_MISSES "cloakroom_near_misses_total" Count
        "Sessions that were looked up in the near cache and not served from it."
    describe_counter NEAR_EVICTIONS "cloakroom_near_evictions_total" Count
        "Sessions that left the near cache because it was full."
    describe_counter NEAR_INVALIDATIONS "cloakroom_near_invalidations_total" Count
        "Sessions that left the near cache because they changed."
    describe_counter UNREADABLE "cloakroom_unreadable_total" Count
        "Stored data that could not be read, by kind."
}
