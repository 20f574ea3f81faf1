//! The names of all metrics. [The guide](crate::guide::metrics) says what their labels may be.

use metrics::Unit;

/// One table for everything: a constant for each name, and what a recorder is told about it.
macro_rules! table {
    ($($describe:ident $constant:ident $name:literal $unit:ident $text:literal)*) => {
        $(
            #[doc = $text]
            pub const $constant: &str = $name;
        )*

        /// All of them.
        pub const NAMES: &[&str] = &[$($constant),*];

        /// Tells the recorder what each metric is. [`Sessions::new`](crate::Sessions::new) does it by itself; call it where
        /// the recorder is installed later than that.
        pub fn describe() {
            $(metrics::$describe!($constant, Unit::$unit, $text);)*
        }
    };
}

table! {
    describe_histogram STORE_SECONDS "cloakroom_store_duration_seconds" Seconds
        "How long the store took to answer, or to fail, by verb."
    describe_counter STORE_ERRORS "cloakroom_store_errors_total" Count
        "Calls into the store that failed, by verb and kind."
    describe_counter LOADS "cloakroom_loads_total" Count
        "Sessions that were looked up, by outcome."
    describe_counter CREATED "cloakroom_created_total" Count
        "Sessions that were made."
    describe_counter TOUCHES "cloakroom_touches_total" Count
        "Changes that only extended a session."
    describe_counter COMMITS "cloakroom_commits_total" Count
        "Requests whose deferred changes were stored."
    describe_counter CONFLICTS "cloakroom_conflicts_total" Count
        "Changes that another request had come before."
    describe_counter REFUSALS "cloakroom_refusals_total" Count
        "Changes and requests that were refused, by reason."
    describe_counter SIGN_INS "cloakroom_sign_ins_total" Count
        "Users who were bound to a session."
    describe_counter ROTATIONS "cloakroom_rotations_total" Count
        "New secrets without a sign-in."
    describe_counter REPLAYS "cloakroom_replays_total" Count
        "Previous secrets that were presented after their grace."
    describe_counter REVOKES "cloakroom_revokes_total" Count
        "Sessions that were ended on purpose, by why."
    describe_counter EVICTED "cloakroom_evicted_total" Count
        "Sessions that ended because their user signed in once too often."
    describe_counter NEAR_HITS "cloakroom_near_hits_total" Count
        "Sessions that were looked up in the near cache and served from it."
    describe_counter NEAR_MISSES "cloakroom_near_misses_total" Count
        "Sessions that were looked up in the near cache and not served from it."
    describe_counter NEAR_EVICTIONS "cloakroom_near_evictions_total" Count
        "Sessions that left the near cache because it was full."
    describe_counter NEAR_INVALIDATIONS "cloakroom_near_invalidations_total" Count
        "Sessions that left the near cache because they changed."
    describe_counter UNREADABLE "cloakroom_unreadable_total" Count
        "Stored things that could not be read, by what."
}
