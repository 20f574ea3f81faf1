//! Making sessions.
#![allow(missing_docs)] // the names say it

use std::time::Duration;

use tokio::task::JoinSet;

use super::given::{confirm, fields, given, rotate_to, set, whole_second};
use super::{Fixture, mint, new_session, with_new_secret};
use crate::record::Refusal;
use crate::store::{NewSession, Outcome};

pub async fn a_new_session_is_exactly_what_was_asked_for<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = mint();
    let wanted = fields(&[("username", "andrew"), ("page_views", "3")]);

    let made = given.create(&new_session(presented, wanted.clone())).await.made();
    let read = given.load(&presented).await.expect("the session is there");

    assert_eq!(made.record, read.record);
    let record = read.record;
    assert_eq!(record.fields, wanted);
    assert_eq!(record.secret_hash, presented.secret_hash);
    assert_eq!((record.previous, record.rotated_at), (None, None));
    assert_eq!((record.created_at, record.last_accessed_at), (made.now, made.now));
    assert_eq!(record.idle_timeout, given.terms.idle_timeout);
    assert_eq!(record.expires_at, whole_second(made.now + given.terms.absolute_lifetime));
}

pub async fn a_new_session_may_have_an_idle_timeout_of_its_own<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let idle_timeout = Some(Duration::from_secs(7 * 60));
    let new = NewSession { idle_timeout, ..new_session(mint(), fields(&[])) };
    given.create(&new).await.made();
    assert_eq!(given.record(&new.presented).await.idle_timeout, Duration::from_secs(7 * 60));
}

pub async fn an_idle_timeout_beyond_the_absolute_lifetime_is_cut<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let idle_timeout = Some(given.terms.absolute_lifetime * 2);
    let new = NewSession { idle_timeout, ..new_session(mint(), fields(&[])) };
    given.create(&new).await.made();
    let record = given.record(&new.presented).await;
    assert_eq!(record.idle_timeout, given.terms.absolute_lifetime);
    assert_eq!(record.ends_at(), record.expires_at);
}

pub async fn a_session_without_fields_can_be_made<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[]).await;
    assert_eq!(given.fields(&presented).await, fields(&[]));
}

pub async fn creating_again_answers_the_same_and_resets_nothing<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let new = new_session(mint(), fields(&[("cart", "1")]));
    let first = given.create(&new).await.made();
    assert_eq!(given.create(&new).await.made().record, first.record);

    given.apply(&new.presented, &set("cart", "2")).await.made();
    let again = given.create(&new).await.made().record;
    assert_eq!(again.fields, fields(&[("cart", "2")]));
    assert_eq!(again.created_at, first.record.created_at);
    assert_eq!(given.record(&new.presented).await, again);
}

pub async fn creating_again_many_times_at_once_makes_one_session<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let new = new_session(mint(), fields(&[("a", "1")]));
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let (given, new) = (given.clone(), new.clone());
        tasks.spawn(async move { given.create(&new).await.made().record });
    }
    let records = tasks.join_all().await;
    let stored = given.record(&new.presented).await;
    assert!(records.iter().all(|record| *record == stored));
}

pub async fn creating_with_another_secret_is_a_conflict<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let owner = given.session(&[("a", "1")]).await;
    let before = given.record(&owner).await;
    let other = with_new_secret(&owner);

    let answer = given.create(&new_session(other, fields(&[("a", "2")]))).await;

    assert_eq!(answer, Outcome::Refused(Refusal::Conflict));
    assert_eq!(given.record(&owner).await, before);
    assert_eq!(given.load(&other).await, None);
}

pub async fn creating_with_a_secret_that_was_rotated_away_is_a_conflict<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let old = given.session(&[("a", "1")]).await;
    let new = with_new_secret(&old);
    given.apply(&old, &rotate_to(&new)).await.made();
    given.apply(&new, &confirm()).await.made();
    let answer = given.create(&new_session(old, fields(&[]))).await;
    assert_eq!(answer, Outcome::Refused(Refusal::Conflict));
    assert_eq!(given.fields(&new).await, fields(&[("a", "1")]));
}

pub async fn a_new_session_beyond_the_limits_is_not_made<F: Fixture>(fixture: &F) {
    let mut given = given(fixture).await;
    (given.terms.max_fields, given.terms.max_bytes) = (2, 10);
    for stored in [&[("a", ""), ("b", ""), ("c", "")][..], &[("a", "12345"), ("b", "1234")]] {
        let presented = mint();
        let answer = given.create(&new_session(presented, fields(stored))).await;
        assert_eq!(answer.invalid_field(), "session");
        assert_eq!(given.load(&presented).await, None);
        assert_eq!(given.revoke(&presented).await, 0);
    }
    given.session(&[("a", "1234"), ("b", "1234")]).await;
}
