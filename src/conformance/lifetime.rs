//! Ending by itself: the idle timeout and the absolute deadline.
//!
//! Some stores can only wait, on machines that may stall. What must happen before a session ends is therefore tried again
//! where it came too late (`in_time`). What must happen after a session ends may come later without harm.
#![allow(missing_docs)] // the names say it

use std::time::{Duration, Instant};

use super::Fixture;
use super::given::{add, given, given_lifetimes, idle, set, touch};
use crate::record::Refusal;
use crate::store::Outcome;

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
