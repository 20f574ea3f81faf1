//! Ending by itself: the idle timeout and the absolute deadline.
//!
//! Some stores can only wait, on machines that may stall. What must happen before a session ends is therefore tried again
//! where it came too late (`in_time`). What must happen after a session ends may come later without harm.
#![allow(missing_docs)] // the names say it

use std::time::{Duration, Instant, SystemTime};

use super::Fixture;
use super::given::{Given, add, deadline, fields, given, given_lifetimes, idle, set, sign_in, touch, user};
use super::{mint, new_session};
use crate::record::{NewSession, Refusal, SignIn};
use crate::store::{Outcome, Store};

const SECOND: Duration = Duration::from_secs(1);

/// The outcome of the first attempt that took less than `limit`.
pub(super) async fn in_time<T>(limit: Duration, attempt: impl AsyncFn() -> T) -> T {
    for _ in 0..10 {
        let begin = Instant::now();
        let outcome = attempt().await;
        if begin.elapsed() < limit {
            return outcome;
        }
    }
    panic!("ten attempts took more than {limit:?} each: this machine is too slow to tell");
}

pub async fn a_session_is_gone_for_every_verb_once_its_idle_timeout_is_over<F: Fixture>(fixture: &F) {
    let given = given_lifetimes(fixture, 1, 3600).await;
    let presented = given.session(&[("a", "1"), ("n", "1")]).await;
    fixture.advance(SECOND).await;
    given.assert_gone(&presented).await;
}

pub async fn a_touch_extends_the_idle_timeout<F: Fixture>(fixture: &F) {
    let given = given_lifetimes(fixture, 3, 3600).await;
    // the session began with three seconds; the touch after one second gave it three again; so it lives after three
    let (presented, touched) = in_time(4 * SECOND, async || {
        let presented = given.session(&[]).await;
        fixture.advance(SECOND).await;
        let touched = given.apply(&presented, &touch()).await;
        fixture.advance(2 * SECOND).await;
        (given.load(&presented).await, touched)
    })
    .await;
    let (record, touched) = (presented.expect("it lives").record, touched.made());
    assert_eq!(record, touched.record);
    assert_eq!(record.last_accessed_at, touched.now);
    assert!(record.last_accessed_at >= record.created_at + SECOND);
    assert_eq!(record.idle_timeout, 3 * SECOND);
}

pub async fn a_change_without_a_touch_extends_nothing<F: Fixture>(fixture: &F) {
    let given = given_lifetimes(fixture, 2, 3600).await;
    let (presented, changed) = in_time(2 * SECOND, async || {
        let presented = given.session(&[]).await;
        fixture.advance(SECOND).await;
        given.apply(&presented, &set("a", "1")).await;
        (presented, given.apply(&presented, &add("n", 1)).await)
    })
    .await;
    let record = changed.made().record;
    assert_eq!(record.last_accessed_at, record.created_at);
    fixture.advance(SECOND).await;
    given.assert_gone(&presented).await;
}

pub async fn no_touch_extends_beyond_the_absolute_deadline<F: Fixture>(fixture: &F) {
    let given = given_lifetimes(fixture, 3, 3).await;
    // deadlines are rounded down: more than two seconds are left, at most three
    let (presented, touched) = in_time(2 * SECOND, async || {
        let presented = given.session(&[]).await;
        fixture.advance(SECOND).await;
        (presented, given.apply(&presented, &touch()).await)
    })
    .await;
    let record = touched.made().record;
    assert_eq!(record.ends_at(), record.expires_at);
    assert!(record.expires_at <= record.created_at + 3 * SECOND);
    fixture.advance(2 * SECOND).await;
    given.assert_gone(&presented).await;
}

pub async fn a_longer_idle_timeout_counts_from_now<F: Fixture>(fixture: &F) {
    const HOUR: Duration = Duration::from_secs(3600);
    let given = given_lifetimes(fixture, 2, 7200).await;
    let (presented, changed) = in_time(2 * SECOND, async || {
        let presented = given.session(&[]).await;
        (presented, given.apply(&presented, &idle(HOUR)).await)
    })
    .await;
    let changed = changed.made();
    assert_eq!((changed.record.idle_timeout, changed.record.last_accessed_at), (HOUR, changed.now));
    fixture.advance(2 * SECOND).await;
    assert_eq!(given.record(&presented).await, changed.record);
    // a touch extends by the session's own idle timeout, not by the configured one
    assert_eq!(given.apply(&presented, &touch()).await.made().record.idle_timeout, HOUR);
}

pub async fn a_shorter_idle_timeout_counts_from_now<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[]).await;
    given.apply(&presented, &idle(SECOND)).await.made();
    fixture.advance(SECOND).await;
    given.assert_gone(&presented).await;
}

pub async fn a_changed_idle_timeout_beyond_the_absolute_lifetime_is_cut<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[]).await;
    let expires_at = given.record(&presented).await.expires_at;
    given.apply(&presented, &idle(2 * given.terms.absolute_lifetime)).await.made();
    let record = given.record(&presented).await;
    assert_eq!(record.idle_timeout, given.terms.absolute_lifetime);
    assert_eq!((record.expires_at, record.ends_at()), (expires_at, expires_at));
}

pub async fn a_refused_change_extends_nothing<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[("a", "text")]).await;
    let before = given.record(&presented).await;
    fixture.advance(Duration::from_millis(50)).await;
    let mut unexpected = touch().expecting("a", None);
    unexpected.fields_mut().idle_timeout = Some(SECOND);
    assert_eq!(given.apply(&presented, &unexpected).await, Outcome::Refused(Refusal::Conflict));
    let mut no_number = add("a", 1).of_a_request();
    no_number.fields_mut().idle_timeout = Some(SECOND);
    assert_eq!(given.apply(&presented, &no_number).await.invalid_field(), "a");
    assert_eq!(given.record(&presented).await, before);
}

/// A time in whole seconds, as deadlines are given.
fn in_seconds(now: SystemTime, seconds: u64) -> SystemTime {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs() + seconds)
}

async fn now<S: Store>(given: &Given<S>) -> SystemTime {
    given.load(&given.session(&[]).await).await.expect("it was just made").now
}

pub async fn a_session_ends_at_its_own_deadline_however_often_it_is_touched<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let (presented, touched, own) = in_time(2 * SECOND, async || {
        let presented = given.session(&[("a", "1"), ("n", "1")]).await;
        let own = in_seconds(now(&given).await, 3);
        given.apply(&presented, &deadline(own)).await.made();
        (presented, given.apply(&presented, &touch()).await, own)
    })
    .await;
    let record = touched.made().record;
    assert_eq!((record.own_deadline, record.expires_at, record.ends_at()), (Some(own), own, own));
    fixture.advance(3 * SECOND).await;
    given.assert_gone(&presented).await;
}

pub async fn a_new_session_may_have_a_deadline_of_its_own<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let (presented, made, own) = in_time(2 * SECOND, async || {
        let own = in_seconds(now(&given).await, 3);
        let new = NewSession { own_deadline: Some(own), ..new_session(mint(), fields(&[("a", "1"), ("n", "1")])) };
        (new.presented, given.create(&new).await, own)
    })
    .await;
    let record = made.made().record;
    assert_eq!((record.own_deadline, record.expires_at, record.ends_at()), (Some(own), own, own));
    fixture.advance(3 * SECOND).await;
    given.assert_gone(&presented).await;
}

pub async fn its_own_deadline_never_lets_a_session_live_longer_than_its_absolute_lifetime<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let late = in_seconds(now(&given).await, 30 * 24 * 3600);
    let new = NewSession { own_deadline: Some(late), ..new_session(mint(), fields(&[])) };
    given.create(&new).await.made();
    let presented = given.session(&[]).await;
    let by_lifetime = given.record(&presented).await.expires_at;
    given.apply(&presented, &deadline(late)).await.made();
    let (signed_in, answer) =
        given.sign_in(&given.session(&[]).await, &SignIn { own_deadline: Some(late), ..sign_in(&user("anna")) }).await;
    answer.made();
    for presented in [new.presented, presented, signed_in] {
        let record = given.record(&presented).await;
        assert_eq!(record.own_deadline, Some(late));
        assert!(record.expires_at <= record.last_accessed_at + given.terms.absolute_lifetime);
        assert!(record.expires_at + SECOND > record.created_at + given.terms.absolute_lifetime, "nor shorter");
    }
    assert_eq!(given.record(&presented).await.expires_at, by_lifetime);
}

pub async fn its_own_deadline_may_be_moved_and_taken_away_again<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[("a", "1")]).await;
    let by_lifetime = given.record(&presented).await.expires_at;
    let now = now(&given).await;
    for own in [in_seconds(now, 600), in_seconds(now, 3600), in_seconds(now, 60)] {
        given.apply(&presented, &deadline(own)).await.made();
        let record = given.record(&presented).await;
        assert_eq!((record.own_deadline, record.expires_at), (Some(own), own));
        assert_eq!(record.ends_at(), own.min(record.last_accessed_at + record.idle_timeout));
    }
    given.apply(&presented, &deadline(None)).await.made();
    let record = given.record(&presented).await;
    assert_eq!((record.own_deadline, record.expires_at), (None, by_lifetime));
    assert_eq!(record.ends_at(), record.last_accessed_at + record.idle_timeout);
}

pub async fn its_own_deadline_is_kept_by_a_sign_in_that_gives_no_other<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let now = now(&given).await;
    let (first, second) = (in_seconds(now, 600), in_seconds(now, 3600));
    let anna = sign_in(&user("anna"));
    let visitor = given.session(&[]).await;
    given.apply(&visitor, &deadline(first)).await.made();
    let (signed_in, answer) = given.sign_in(&visitor, &anna).await;
    assert_eq!(deadlines(answer), (Some(first), first));
    let (again, answer) = given.sign_in(&signed_in, &SignIn { own_deadline: Some(second), ..anna.clone() }).await;
    assert_eq!(deadlines(answer), (Some(second), second));
    let (once_more, answer) = given.sign_in(&again, &anna).await;
    assert_eq!(deadlines(answer), (Some(second), second));
    assert_eq!(given.record(&once_more).await.expires_at, second);
}

fn deadlines(answer: Outcome) -> (Option<SystemTime>, SystemTime) {
    let record = answer.made().record;
    (record.own_deadline, record.expires_at)
}

pub async fn a_deadline_that_has_passed_is_refused<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[("a", "1")]).await;
    let before = given.record(&presented).await;
    let passed = in_seconds(now(&given).await, 0);
    assert_eq!(given.apply(&presented, &deadline(passed)).await.invalid_field(), "own_deadline");
    let bound = SignIn { own_deadline: Some(passed), ..sign_in(&user("anna")) };
    assert_eq!(given.sign_in(&presented, &bound).await.1.invalid_field(), "own_deadline");
    assert_eq!(given.record(&presented).await, before);
    assert_eq!(given.listed(&user("anna")).await, []);
    let new = NewSession { own_deadline: Some(passed), ..new_session(mint(), fields(&[])) };
    assert_eq!(given.create(&new).await.invalid_field(), "own_deadline");
    assert_eq!(given.load(&new.presented).await, None);
}
