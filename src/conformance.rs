//! The conformance kit: a set of tests that every [`Store`] must pass, one for each thing that a store promises.
//!
//! If you write a store, write a [`Fixture`] that makes an empty store, and mount the kit in a test file:
//!
//! ```
//! use std::time::{Duration, SystemTime};
//!
//! use cloakroom::Clock;
//! use cloakroom::conformance::Fixture;
//! use cloakroom::store::Memory;
//!
//! struct InMemory(Clock);
//!
//! impl Fixture for InMemory {
//!     type Store = Memory;
//!
//!     async fn fresh(&self) -> Memory {
//!         Memory::with_clock(self.0.clone())
//!     }
//!
//!     async fn advance(&self, by: Duration) {
//!         self.0.advance(by);
//!     }
//! }
//!
//! mod in_memory {
//!     use super::*;
//!     cloakroom::conformance!(InMemory(Clock::manual(SystemTime::now())));
//! }
//! # fn main() {}
//! ```
//!
//! Each scenario becomes a test whose name is a sentence, such as `in_memory::a_slow_save_never_brings_a_revoked_session_back`. It has
//! its own fixture, and runs on its own tokio runtime with two threads. If all tests have to share one server, call [`run_all`] in a
//! single test instead.
//!
//! The sources of the scenarios are in `src/conformance/`, one file for each topic. You can use [`mint`], [`new_session`] and the other
//! functions here for further tests of your own store.
//!
//! The kit runs in one process, so it cannot test two things: that a crash loses nothing that was acknowledged, and that a failure of
//! the server is an error and not an anonymous visitor.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::record::{Credentials, Fields, Token, TokenFormat};
use crate::store::{NewSession, Store};

mod given;

pub mod change;
pub mod counters;
pub mod create;
pub mod devices;
pub mod dropped;
pub mod lifetime;
pub mod limit;
pub mod limits;
pub mod load;
pub mod plain;
pub mod revoke;
pub mod revoke_user;
pub mod rotate;
pub mod sign_in;
pub mod text;

/// Makes the stores that the kit tests, and moves their time. The kit makes one fixture for each scenario.
pub trait Fixture {
    /// The type of the store that is tested.
    type Store: Store;

    /// Returns a store without sessions. Two stores of one fixture share no sessions.
    fn fresh(&self) -> impl Future<Output = Self::Store>;

    /// Lets at least this much time pass for the stores of this fixture, but not much more. If your store has a clock that you can move,
    /// move it, otherwise wait. The kit asks for a few seconds at most.
    fn advance(&self, by: Duration) -> impl Future<Output = ()>;
}

/// Makes a `#[test]` of every scenario of the kit. Takes an expression that makes a [`Fixture`](crate::conformance::Fixture), and
/// evaluates it for each test, inside the test's tokio runtime. To mount the kit twice in one file, put each mount into its own `mod`.
#[macro_export]
// a macro is at the root of the crate, where rustdoc does not see the feature of its module
#[cfg_attr(docsrs, doc(cfg(feature = "conformance")))]
macro_rules! conformance {
    ($fixture:expr) => {
        $crate::conformance! { @list mount ($fixture) }
    };
    (@list $way:ident $given:tt) => {
        $crate::conformance! { @$way $given;
            create {
                a_new_session_is_exactly_what_was_asked_for
                a_new_session_may_have_an_idle_timeout_of_its_own
                an_idle_timeout_beyond_the_absolute_lifetime_is_cut
                a_session_without_fields_can_be_made
                creating_again_answers_the_same_and_resets_nothing
                creating_again_many_times_at_once_makes_one_session
                creating_with_another_secret_is_a_conflict
                creating_with_a_secret_that_was_rotated_away_is_a_conflict
                a_new_session_beyond_the_limits_is_not_made
            }
            load {
                a_session_that_nobody_made_is_not_there
                a_wrong_secret_reads_nothing
                the_session_id_alone_opens_nothing
                a_session_is_read_by_its_id_as_long_as_it_lives
                whoever_watches_a_session_hears_of_its_end_and_of_its_new_secret
                reading_changes_nothing
                the_stores_time_does_not_go_back
                many_readers_at_once_read_each_their_own
            }
            change {
                fields_are_set_and_removed_and_the_others_stay
                removing_what_is_not_there_is_no_error
                the_last_field_can_be_removed
                thousands_of_names_can_be_removed_at_once
                an_empty_change_changes_nothing
                an_expectation_that_holds_lets_the_change_through
                an_expectation_that_fails_changes_nothing_at_all
                a_wrong_secret_changes_nothing
                a_change_makes_no_session
                different_fields_from_many_tasks_all_win
                of_many_with_the_same_expectation_one_wins
                a_compare_and_set_that_is_retried_loses_no_update
            }
            counters {
                a_counter_starts_at_zero_and_may_fall_below
                hundreds_of_adds_at_once_add_up_exactly
                a_counter_is_exact_in_all_its_64_bits
                an_overflow_is_refused_and_changes_nothing
                what_is_no_whole_number_is_not_added_to
                one_refused_counter_undoes_the_whole_change
            }
            limits {
                one_field_too_many_is_refused_and_the_others_stay
                one_byte_too_many_is_refused_and_the_others_stay
                a_counter_beyond_the_limits_is_undone
                a_full_session_may_swap_a_field_for_another
                a_session_that_is_too_large_may_change_and_shrink_but_not_grow
            }
            text {
                strange_names_and_values_come_back_as_they_went_in
                every_kind_of_change_works_on_a_strange_name
                text_that_looks_like_a_number_stays_as_it_is
                a_value_of_64_kib_comes_back_whole
            }
            lifetime {
                a_session_is_gone_for_every_verb_once_its_idle_timeout_is_over
                a_touch_extends_the_idle_timeout
                a_change_without_a_touch_extends_nothing
                no_touch_extends_beyond_the_absolute_deadline
                a_longer_idle_timeout_counts_from_now
                a_shorter_idle_timeout_counts_from_now
                a_changed_idle_timeout_beyond_the_absolute_lifetime_is_cut
                a_refused_change_extends_nothing
                a_session_ends_at_its_own_deadline_however_often_it_is_touched
                a_new_session_may_have_a_deadline_of_its_own
                its_own_deadline_never_lets_a_session_live_longer_than_its_absolute_lifetime
                its_own_deadline_may_be_moved_and_taken_away_again
                its_own_deadline_is_kept_by_a_sign_in_that_gives_no_other
                a_deadline_that_has_passed_is_refused
            }
            revoke {
                a_revoked_session_is_gone_for_every_verb
                revoking_counts_what_lived
                revoking_one_leaves_the_others
                many_revokes_at_once_end_one_session_once
                a_slow_save_never_brings_a_revoked_session_back
                a_slow_rotation_never_brings_a_revoked_session_back
                signing_out_shows_the_secret_and_says_what_became_of_the_session
            }
            rotate {
                a_rotated_session_is_the_same_with_a_new_secret
                a_rotation_and_its_fields_are_stored_together_or_not_at_all
                the_previous_secret_reads_and_saves_while_it_is_held
                the_previous_secret_may_not_rotate
                the_grace_begins_when_the_new_secret_is_first_confirmed
                the_previous_secret_confirms_nothing
                the_previous_secret_reads_nothing_after_its_grace
                a_save_that_began_within_the_grace_may_end_after_it
                the_secret_before_the_previous_one_is_stale
                rotating_again_to_the_same_secret_repeats_nothing
                of_many_rotations_at_once_one_wins
                a_rotation_among_saves_loses_none_of_them
                a_previous_secret_after_its_grace_is_recognized
                a_dropped_previous_secret_is_stale_at_once
            }
            sign_in {
                signing_in_binds_the_user_with_a_new_secret
                a_token_planted_before_a_sign_in_reads_nothing_after_it
                signing_in_starts_a_new_absolute_lifetime
                a_sign_in_may_have_lifetimes_of_its_own_beyond_the_configured
                a_sign_in_may_have_lifetimes_of_its_own_below_the_configured
                a_sign_in_keeps_the_fields_or_discards_them
                a_sign_in_stores_where_and_when
                signing_in_again_to_the_same_secret_repeats_nothing
                another_user_on_a_bound_session_is_a_conflict
                a_held_previous_secret_may_sign_in_and_no_other_is_left
                a_second_click_is_the_same_sign_in_and_both_secrets_open_it
                a_sign_in_is_not_repeated_after_the_grace
                what_a_sign_in_grants_is_kept_as_it_is
                a_wrong_secret_signs_nobody_in
                a_session_that_is_gone_cannot_be_signed_in
                of_many_sign_ins_of_one_session_at_once_one_user_wins
            }
            limit {
                one_sign_in_too_many_ends_the_oldest
                the_oldest_is_the_one_that_signed_in_longest_ago
                an_evicted_browser_can_learn_why_and_nobody_else
                a_sign_in_with_a_stale_secret_leaves_the_visitors_session_out_of_the_users
                what_has_expired_counts_neither_for_a_visitor_nor_for_who_signs_in_again
                a_lowered_limit_ends_as_many_as_are_too_many
                a_refused_sign_in_changes_nothing_and_may_be_tried_again
                signing_in_again_needs_no_place
                a_refused_re_sign_in_leaves_the_session_in_the_list
                signing_in_again_to_the_same_secret_evicts_nobody
                sessions_that_have_ended_do_not_count
                each_user_has_a_limit_of_their_own
                of_many_sign_ins_at_once_exactly_as_many_live_as_are_allowed
                of_many_sign_ins_at_once_exactly_as_many_are_let_in_as_are_allowed
                sign_ins_and_repeated_ones_at_once_stay_within_the_limit
            }
            devices {
                a_users_sessions_are_listed_the_latest_sign_in_first
                a_device_is_what_its_session_says
                devices_come_in_pages
                sessions_that_have_ended_are_not_listed
                visitors_are_in_nobodys_list
                strange_user_ids_list_and_end_their_own_sessions_only
            }
            revoke_user {
                a_user_ends_one_of_their_own_sessions
                a_strangers_session_answers_as_one_that_does_not_exist
                a_user_ends_all_sessions_but_one
                all_of_a_users_sessions_end_at_once
                many_revokes_of_a_user_at_once_count_each_session_once
                signing_out_everywhere_ends_what_was_bound_whatever_is_on_its_way
                ending_the_others_spares_the_one_that_asks_whatever_is_on_its_way
            }
            dropped {
                a_dropped_creation_is_made_or_not
                a_dropped_change_is_made_once_or_not_at_all
                a_dropped_rotation_leaves_a_secret_that_opens
                a_dropped_revoke_ends_the_session_or_not
                dropped_reads_mix_no_answers_up
            }
            plain {
                a_plain_token_opens_its_session_through_all_verbs
                creating_a_plain_session_again_resets_nothing
                a_plain_session_is_not_opened_with_a_secret
                a_plain_session_ends_an_absolute_lifetime_after_its_creation
                a_plain_session_is_gone_once_its_idle_timeout_is_over
                names_that_only_secrets_reserve_are_the_applications
            }
        }
    };
    (@mount $fixture:expr; $($topic:ident { $($scenario:ident)* })*) => {
        $($(
            #[test]
            fn $scenario() {
                $crate::conformance::run(async || $crate::conformance::$topic::$scenario(&$fixture).await);
            }
        )*)*
    };
    (@table $fixture:ty; $($topic:ident { $($scenario:ident)* })*) => {
        vec![$($(
            $crate::conformance::Scenario::<$fixture> {
                name: concat!(stringify!($topic), "::", stringify!($scenario)),
                check: |fixture| Box::pin($topic::$scenario(fixture)),
            },
        )*)*]
    };
}

/// One test of the kit, for one thing that every store promises.
pub struct Scenario<F> {
    /// The topic, and what the store promises as a sentence.
    pub name: &'static str,
    check: for<'a> fn(&'a F) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
}

/// Returns all scenarios, in the order in which [`conformance!`](crate::conformance!) mounts them.
pub fn scenarios<F: Fixture>() -> Vec<Scenario<F>> {
    crate::conformance! { @list table F }
}

/// Runs all scenarios inside one test, a few at a time, each with its own fixture. Use it if the scenarios have to share a server,
/// because it would take too long to start one for each, such as a cluster.
///
/// # Panics
/// Panics after all scenarios have run if one of them has panicked. The message names those that failed.
pub fn run_all<F: Fixture>(fixture: impl Fn() -> F + Sync) {
    const AT_ONCE: usize = 4;
    let scenarios = scenarios::<F>();
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let work = || {
        while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::SeqCst)) {
            let check = || run(async || (scenario.check)(&fixture()).await);
            if catch_unwind(AssertUnwindSafe(check)).is_err() {
                failed.lock().expect("nobody panics with it").push(scenario.name);
            }
        }
    };
    std::thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().expect("nobody panics with it");
    assert!(failed.is_empty(), "{} of {} scenarios failed: {failed:#?}", failed.len(), scenarios.len());
}

/// Runs a scenario on its own tokio runtime. The tests that [`conformance!`](crate::conformance!) makes call it.
///
/// # Panics
/// Panics if the scenario panics, or if no runtime can be made.
pub fn run(scenario: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a tokio runtime").block_on(scenario());
}

/// Returns new credentials, as a browser with a new token presents them.
///
/// # Panics
/// Panics if the operating system's random generator fails.
pub fn mint() -> Credentials {
    Token::mint(TokenFormat::Secret).expect("randomness").presented()
}

/// Returns new credentials with a [plain token](TokenFormat::Plain).
///
/// # Panics
/// Panics if the operating system's random generator fails.
pub fn mint_plain() -> Credentials {
    Token::mint(TokenFormat::Plain).expect("randomness").presented()
}

/// Returns credentials for the same session with another secret, as a rotation gives them to the browser.
///
/// # Panics
/// Panics if the operating system's random generator fails.
pub fn with_new_secret(presented: &Credentials) -> Credentials {
    Token::with_new_secret(&presented.id).expect("randomness").presented()
}

/// Returns a session to create, with the configured idle timeout.
///
/// ```
/// use cloakroom::conformance::{mint, new_session};
/// use cloakroom::store::{Fields, Memory, Outcome, Store as _, StoreError, Terms};
///
/// # async fn test() -> Result<(), StoreError> {
/// let new = new_session(mint(), Fields::from([("cart", "3")]));
/// let outcome = Memory::new().create(&new, &Terms::default()).await?;
/// assert!(matches!(outcome, Outcome::Done { .. }));
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test()).unwrap();
/// ```
pub fn new_session(presented: Credentials, fields: Fields) -> NewSession {
    NewSession { presented, fields, idle_timeout: None, own_deadline: None }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_scenario_is_mounted() {
        let list = include_str!("conformance.rs");
        for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/conformance")).unwrap() {
            let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            for scenario in source.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
                let name = scenario.split('<').next().unwrap();
                assert!(list.lines().any(|line| line.trim() == name), "{name} is in no list");
            }
        }
    }
}
