//! Changing the secret: what the old one may still do, and for how long.
#![allow(missing_docs)] // the names say it

use std::time::Duration;

use tokio::task::JoinSet;

use super::given::{Given, add, confirm, elevate_to, fields, given, pause, rotate_to, set, touch, whole_second};
use super::{Fixture, with_new_secret};
use crate::record::{Credentials, Previous, Refusal};
use crate::store::{Lookup, Outcome, Store};

/// A session that was rotated: its old token and its new one.
async fn rotated<S: Store>(given: &Given<S>) -> (Credentials, Credentials) {
    let old = given.session(&[("a", "1")]).await;
    let new = with_new_secret(&old);
    given.apply(&old, &rotate_to(&new)).await.made();
    (old, new)
}

pub async fn a_rotated_session_is_the_same_with_a_new_secret<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let old = given.session(&[("a", "1")]).await;
    let before = given.record(&old).await;
    let new = with_new_secret(&old);

    let made = given.apply(&old, &rotate_to(&new)).await.made();

    let mut expected = before.as_ref().clone();
    expected.secret_hash = new.secret_hash;
    expected.previous = old.secret_hash.map(|secret_hash| Previous { secret_hash, until: None });
    expected.rotated_at = Some(whole_second(made.now));
    // whoever rotates a session uses it
    expected.last_accessed_at = made.now;
    assert_eq!(*made.record, expected);
    assert_eq!(*given.record(&new).await, expected);
}

pub async fn a_rotation_and_its_fields_are_stored_together_or_not_at_all<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let old = given.session(&[("a", "1")]).await;
    let before = given.record(&old).await;
    let new = with_new_secret(&old);
    let refused = add("a", i64::MAX).rotating_to(&new);
    assert_eq!(given.apply(&old, &refused).await.invalid_field(), "a");
    assert_eq!(given.record(&old).await, before);
    assert_eq!(given.load(&new).await, None);

    let good = add("a", 1).rotating_to(&new);
    let made = given.apply(&old, &good).await.made();
    assert_eq!(made.record.fields, fields(&[("a", "2")]));
    assert_eq!(made.record.last_accessed_at, made.now);
    assert_eq!(given.record(&new).await, made.record);
}

pub async fn the_previous_secret_reads_and_saves_while_it_is_held<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let (old, new) = rotated(&given).await;
    assert_eq!(given.record(&old).await, given.record(&new).await);
    given.apply(&old, &set("b", "2")).await.made();
    given.apply(&new, &confirm()).await.made();
    // within the grace
    given.apply(&old, &add("n", 1)).await.made();
    assert_eq!(given.fields(&old).await, fields(&[("a", "1"), ("b", "2"), ("n", "1")]));
}

pub async fn the_previous_secret_may_not_rotate<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let (old, new) = rotated(&given).await;
    let before = given.record(&new).await;
    let change = set("a", "2").rotating_to(&with_new_secret(&old));
    assert_eq!(given.apply(&old, &change).await, Outcome::Refused(Refusal::Conflict));
    // nor can a held secret be rotated to itself
    assert_eq!(given.apply(&old, &rotate_to(&old)).await, Outcome::Refused(Refusal::Conflict));
    assert_eq!(given.record(&new).await, before);
}

pub async fn the_grace_begins_when_the_new_secret_is_first_confirmed<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let (old, new) = rotated(&given).await;
    let until = async || given.record(&new).await.previous.expect("it is held").until;

    given.load(&new).await.expect("it is there");
    for change in [set("b", "2"), touch()] {
        given.apply(&new, &change).await.made();
    }
    assert_eq!(until().await, None);

    let confirmed = given.apply(&new, &confirm()).await.made();
    let end = until().await.expect("the grace has begun");
    assert_eq!(
        confirmed.record.previous,
        old.secret_hash.map(|secret_hash| Previous { secret_hash, until: Some(end) })
    );
    // the end of the grace is in whole seconds, rounded up
    assert!(end >= confirmed.now + given.terms.rotation_grace);
    assert!(end < confirmed.now + given.terms.rotation_grace + Duration::from_secs(1));

    // and the grace begins only once
    fixture.advance(Duration::from_millis(1100)).await;
    given.apply(&new, &set("b", "3").of_a_request()).await.made();
    assert_eq!(until().await, Some(end));
}

pub async fn the_previous_secret_confirms_nothing<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let (old, new) = rotated(&given).await;
    given.apply(&old, &confirm()).await.made();
    given.apply(&old, &set("a", "2").of_a_request()).await.made();
    assert_eq!(given.record(&new).await.previous.expect("it is held").until, None);
}

pub async fn the_previous_secret_reads_nothing_after_its_grace<F: Fixture>(fixture: &F) {
    let mut given = given(fixture).await;
    given.terms.rotation_grace = Duration::from_secs(1);
    let (old, new) = rotated(&given).await;
    given.apply(&new, &confirm()).await.made();
    fixture.advance(Duration::from_secs(2)).await;
    assert_eq!(given.load(&old).await, None);
    assert_eq!(given.fields(&new).await, fields(&[("a", "1")]));
    let rotation = rotate_to(&with_new_secret(&old));
    assert_eq!(given.apply(&old, &rotation).await, Outcome::Refused(Refusal::Conflict));
}

pub async fn a_save_that_began_within_the_grace_may_end_after_it<F: Fixture>(fixture: &F) {
    let mut given = given(fixture).await;
    given.terms.rotation_grace = Duration::ZERO;
    let (old, new) = rotated(&given).await;
    given.load(&old).await.expect("it is held");
    given.apply(&new, &confirm()).await.made();
    fixture.advance(Duration::from_secs(1)).await;
    given.apply(&old, &set("upload", "done")).await.made();
    assert_eq!(given.fields(&new).await, fields(&[("a", "1"), ("upload", "done")]));
}

pub async fn the_secret_before_the_previous_one_is_stale<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let (first, second) = rotated(&given).await;
    given.apply(&second, &confirm()).await.made();
    let third = with_new_secret(&first);
    let made = given.apply(&second, &rotate_to(&third)).await.made();
    // the second secret is held anew: the grace of the first one does not count for it
    assert_eq!(made.record.previous, second.secret_hash.map(|secret_hash| Previous { secret_hash, until: None }));
    assert_eq!(given.load(&first).await, None);
    assert_eq!(given.apply(&first, &set("a", "2")).await, Outcome::Refused(Refusal::Gone));
    assert_eq!(given.record(&second).await, given.record(&third).await);
}

pub async fn rotating_again_to_the_same_secret_repeats_nothing<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let old = given.session(&[]).await;
    let new = with_new_secret(&old);
    let change = add("n", 1).rotating_to(&new);
    let first = given.apply(&old, &change).await.made().record;
    for asking in [&old, &new, &old] {
        assert_eq!(given.apply(asking, &change).await.made().record, first);
    }
    given.apply(&new, &set("a", "1")).await.made();
    let again = given.apply(&old, &change).await.made().record;
    assert_eq!(again.fields, fields(&[("a", "1"), ("n", "1")]));
    assert_eq!(given.record(&new).await, again);
}

pub async fn of_many_rotations_at_once_one_wins<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    for _ in 0..20 {
        let old = given.session(&[]).await;
        let mut tasks = JoinSet::new();
        for _ in 0..5 {
            let given = given.clone();
            tasks.spawn(async move {
                let new = with_new_secret(&old);
                let change = add("n", 1).rotating_to(&new);
                (new, given.apply(&old, &change).await)
            });
        }
        let mut winners = Vec::new();
        for (new, answer) in tasks.join_all().await {
            match answer {
                Outcome::Done { .. } => winners.push(new),
                Outcome::Refused(refusal) => {
                    assert_eq!(refusal, Refusal::Conflict);
                    assert_eq!(given.load(&new).await, None);
                }
            }
        }
        assert_eq!(winners.len(), 1);
        assert_eq!(given.fields(&winners[0]).await, fields(&[("n", "1")]));
        assert_eq!(given.fields(&old).await, fields(&[("n", "1")]));
    }
}

pub async fn a_rotation_among_saves_loses_none_of_them<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    for round in 0..10 {
        let old = given.session(&[]).await;
        let new = with_new_secret(&old);
        let mut tasks = JoinSet::new();
        for i in 0..10 {
            let given = given.clone();
            tasks.spawn(async move {
                pause(i % 4).await;
                let mut change = add("n", 1);
                change.fields_mut().set.insert(format!("field {i}"), "saved");
                given.apply(&old, &change).await.made();
            });
        }
        pause(round % 5).await;
        given.apply(&old, &rotate_to(&new)).await.made();
        tasks.join_all().await;
        let stored = given.fields(&new).await;
        assert_eq!((&stored["n"], stored.len()), ("10", 11));
    }
}

pub async fn a_previous_secret_after_its_grace_is_recognized<F: Fixture>(fixture: &F) {
    let mut given = given(fixture).await;
    given.terms.rotation_grace = Duration::from_secs(1);
    let (old, new) = rotated(&given).await;
    // as long as the browser may not have received the new secret, the old one is no replay, however late it comes
    fixture.advance(Duration::from_secs(2)).await;
    assert!(matches!(given.look_up(&old).await, Lookup::Live(_)));
    given.apply(&new, &confirm()).await.made();
    fixture.advance(Duration::from_secs(2)).await;
    let Lookup::Replayed(seen) = given.look_up(&old).await else { panic!("it is a replay") };
    assert_eq!(seen.record, given.record(&new).await);
    // a guessed secret is no replay, and neither is the secret before the previous one
    assert_eq!(given.look_up(&with_new_secret(&old)).await, Lookup::Gone);
    given.apply(&new, &rotate_to(&with_new_secret(&old))).await.made();
    assert_eq!(given.look_up(&old).await, Lookup::Gone);
}

pub async fn a_dropped_previous_secret_is_stale_at_once<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let (first, second) = rotated(&given).await;
    let third = with_new_secret(&first);
    let change = elevate_to(&third);
    // a previous secret that is still held may not make this change
    assert_eq!(given.apply(&first, &change).await, Outcome::Refused(Refusal::Conflict));
    assert_eq!(given.apply(&second, &change).await.made().record.previous, None);
    for stale in [&first, &second] {
        assert_eq!(given.look_up(stale).await, Lookup::Gone);
        assert_eq!(given.apply(stale, &set("a", "2")).await, Outcome::Refused(Refusal::Gone));
    }
    assert_eq!(given.fields(&third).await, fields(&[("a", "1")]));
    // the same change, asked for again, counts as done already
    given.apply(&second, &change).await.made();
}
