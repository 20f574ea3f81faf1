//! Ending sessions.
#![allow(missing_docs)] // the names say it

use tokio::task::JoinSet;

use super::given::{add, confirm, fields, given, pause, rotate_to, set, sign_in, touch, user};
use super::{Fixture, mint, with_new_secret};
use crate::record::{Credentials, Refusal};
use crate::store::{Outcome, SignedOut, Store as _};

pub async fn a_revoked_session_is_gone_for_every_verb<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let old = given.session(&[("a", "1"), ("n", "1")]).await;
    let new = with_new_secret(&old);
    given.apply(&old, &rotate_to(&new)).await.made();
    assert_eq!(given.revoke(&new).await, 1);
    given.assert_gone(&new).await;
    given.assert_gone(&old).await;
    // the same rotation, asked for again, is not answered as "made before" either
    assert_eq!(given.apply(&old, &rotate_to(&new)).await, Outcome::Refused(Refusal::Gone));
}

pub async fn revoking_counts_what_lived<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    assert_eq!(given.revoke(&mint()).await, 0);
    let presented = given.session(&[]).await;
    assert_eq!(given.revoke(&presented).await, 1);
    assert_eq!(given.revoke(&presented).await, 0);
}

pub async fn revoking_one_leaves_the_others<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let (one, other) = (given.session(&[("a", "1")]).await, given.session(&[("a", "2")]).await);
    given.revoke(&one).await;
    assert_eq!(given.load(&one).await, None);
    assert_eq!(given.fields(&other).await, fields(&[("a", "2")]));
}

pub async fn many_revokes_at_once_end_one_session_once<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[]).await;
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let given = given.clone();
        tasks.spawn(async move { given.revoke(&presented).await });
    }
    assert_eq!(tasks.join_all().await.into_iter().sum::<u64>(), 1);
}

pub async fn a_slow_save_never_brings_a_revoked_session_back<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    for round in 0..60 {
        let presented = given.session(&[("a", "1")]).await;
        let mut tasks = JoinSet::new();
        for (i, change) in [set("a", "2"), add("n", 1), touch(), confirm()].into_iter().enumerate() {
            let given = given.clone();
            tasks.spawn(async move {
                pause((round * 7 + i * 5) % 16).await;
                given.apply(&presented, &change).await
            });
        }
        pause(round % 8).await;
        assert_eq!(given.revoke(&presented).await, 1);
        assert_eq!(given.load(&presented).await, None);
        for answer in tasks.join_all().await {
            assert!(matches!(answer, Outcome::Done { .. } | Outcome::Refused(Refusal::Gone)), "{answer:?}");
        }
        given.assert_gone(&presented).await;
    }
}

pub async fn a_slow_rotation_never_brings_a_revoked_session_back<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    for round in 0..40 {
        let old = given.session(&[("a", "1")]).await;
        let new = with_new_secret(&old);
        let rotation = tokio::spawn({
            let given = given.clone();
            async move {
                pause(round % 9).await;
                given.apply(&old, &rotate_to(&new)).await
            }
        });
        pause(round % 4).await;
        assert_eq!(given.revoke(&old).await, 1);
        let answer = rotation.await.expect("no panic");
        assert!(matches!(answer, Outcome::Done { .. } | Outcome::Refused(Refusal::Gone)), "{answer:?}");
        given.assert_gone(&old).await;
        given.assert_gone(&new).await;
    }
}

pub async fn signing_out_shows_the_secret_and_says_what_became_of_the_session<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let sign_out = async |presented: Credentials| given.store.sign_out(&presented).await.expect("the store answers");
    let old = given.session(&[("a", "1")]).await;
    let new = with_new_secret(&old);
    given.apply(&old, &rotate_to(&new)).await.made();
    assert_eq!(sign_out(with_new_secret(&old)).await, SignedOut::Stale);
    assert_eq!(given.fields(&new).await, fields(&[("a", "1")]), "it lives on");
    assert_eq!(sign_out(old).await, SignedOut::Ended, "the held previous secret opens it, too");
    for presented in [new, old, mint()] {
        assert_eq!(sign_out(presented).await, SignedOut::Gone);
    }
    given.assert_gone(&new).await;

    // the secret that the sign-in replaced opens nothing, and ends nothing
    let visitor = given.session(&[]).await;
    let (signed_in, _) = given.sign_in(&visitor, &sign_in(&user("anna"))).await;
    assert_eq!(sign_out(visitor).await, SignedOut::Stale);
    assert_eq!(sign_out(signed_in).await, SignedOut::Ended);
    assert_eq!(given.listed(&user("anna")).await, []);
}
