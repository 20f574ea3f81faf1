//! Futures that are dropped half-way, as a server does when the browser hangs up.
#![allow(missing_docs)] // the names say it

use std::pin::pin;
use std::task::Poll;

use super::given::{Given, fields, given, nothing, pause, rotate_to, set};
use super::{Fixture, mint, new_session, with_new_secret};
use crate::record::{Change, Credentials, FieldChanges, Fields};
use crate::store::{Outcome, Store, Target};

/// Each verb is dropped after 0, 1, ... polls; most stores need a few.
const POLLS: usize = 12;

/// Polls a future this many times, and lets others run in between. Returns the future's answer, if there was one.
async fn poll_and_drop<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(answer) = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
            return Some(answer);
        }
        pause(3).await;
    }
    None
}

/// Another session, which must stay as it is: it is asked for after each dropped verb, and must get its own answers.
struct Bystander(Credentials, Fields);

impl Bystander {
    async fn new<S: Store>(given: &Given<S>) -> Bystander {
        let stored = [("name", "bystander")];
        Bystander(given.session(&stored).await, fields(&stored))
    }

    async fn assert_untouched<S: Store>(&self, given: &Given<S>) {
        assert_eq!(given.fields(&self.0).await, self.1);
        let read_by_change = given.apply(&self.0, &nothing()).await.made();
        assert_eq!(read_by_change.record.fields, self.1);
        assert_eq!(given.load(&mint()).await, None);
        assert_eq!(given.revoke(&mint()).await, 0);
    }
}

pub async fn a_dropped_creation_is_made_or_not<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let bystander = Bystander::new(&given).await;
    for polls in 0..POLLS {
        let new = new_session(mint(), fields(&[("a", "1"), ("b", "2")]));
        poll_and_drop(polls, given.store.create(&new, &given.terms)).await;
        bystander.assert_untouched(&given).await;
        if let Some(loaded) = given.load(&new.presented).await {
            assert_eq!(loaded.record.fields, new.fields);
        }
        // when it is asked for again, it is made
        assert_eq!(given.create(&new).await.made().record.fields, new.fields);
    }
}

pub async fn a_dropped_change_is_made_once_or_not_at_all<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let bystander = Bystander::new(&given).await;
    let presented = given.session(&[("n", "0"), ("m", "0")]).await;
    let both: Change =
        FieldChanges { add: [("n".to_owned(), 1), ("m".to_owned(), 1)].into(), ..FieldChanges::default() }.into();
    let (mut least, mut most) = (0, 0);
    for polls in (0..POLLS).chain(0..POLLS) {
        let answer = poll_and_drop(polls, given.store.apply(&presented, &both, &given.terms)).await;
        least += i64::from(answer.is_some());
        most += i64::from(polls > 0);
        bystander.assert_untouched(&given).await;
        let stored = given.fields(&presented).await;
        assert_eq!(stored["n"], stored["m"]);
        let made: i64 = stored["n"].parse().expect("a number");
        assert!((least..=most).contains(&made), "{made} of {least} to {most}");
    }
}

pub async fn a_dropped_rotation_leaves_a_secret_that_opens<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let bystander = Bystander::new(&given).await;
    for polls in 0..POLLS {
        let old = given.session(&[("a", "1")]).await;
        let new = with_new_secret(&old);
        poll_and_drop(polls, given.store.apply(&old, &rotate_to(&new), &given.terms)).await;
        bystander.assert_untouched(&given).await;
        assert_eq!(given.fields(&old).await, fields(&[("a", "1")]));
        // when it is asked for again, it is made
        given.apply(&old, &rotate_to(&new)).await.made();
        assert_eq!(given.fields(&new).await, fields(&[("a", "1")]));
    }
}

pub async fn a_dropped_revoke_ends_the_session_or_not<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let bystander = Bystander::new(&given).await;
    for polls in 0..POLLS {
        let presented = given.session(&[("a", "1")]).await;
        let answer = poll_and_drop(polls, given.store.revoke(&Target::Session(presented.id))).await;
        bystander.assert_untouched(&given).await;
        let left = given.load(&presented).await;
        assert!(answer.is_none() || left.is_none());
        given.revoke(&presented).await;
        given.assert_gone(&presented).await;
    }
}

pub async fn dropped_reads_mix_no_answers_up<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let mut sessions = Vec::new();
    for i in 0..10 {
        sessions.push(given.session(&[("mine", &i.to_string())]).await);
    }
    for round in 0..100 {
        let (dropped, read) = (&sessions[round % 10], (round * 7 + 3) % 10);
        let write = set("written", "by another");
        poll_and_drop(round % 4, given.store.load(dropped, &given.terms)).await;
        poll_and_drop(round % 3, given.store.load(&mint(), &given.terms)).await;
        assert_eq!(given.fields(&sessions[read]).await["mine"], read.to_string());
        poll_and_drop(round % 5, given.store.apply(dropped, &write, &given.terms)).await;
        let answer = given.apply(&sessions[read], &nothing()).await;
        assert!(matches!(answer, Outcome::Done { loaded, .. } if loaded.record.fields["mine"] == read.to_string()));
    }
}
