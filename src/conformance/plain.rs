//! Plain tokens, where the session id is the secret.
#![allow(missing_docs)] // the names say it

use std::time::Duration;

use super::given::{Given, add, confirm, fields, given, given_lifetimes, remove, set, touch, whole_second};
use super::{Fixture, mint_plain, new_session, with_new_secret};
use crate::record::{Credentials, Refusal, TokenFormat, reserved_fields};
use crate::store::{Outcome, Store};

async fn plain_session<S: Store>(given: &Given<S>, stored: &[(&str, &str)]) -> Credentials {
    let presented = mint_plain();
    given.create(&new_session(presented, fields(stored))).await.made();
    presented
}

pub async fn a_plain_token_opens_its_session_through_all_verbs<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = plain_session(&given, &[("a", "1")]).await;
    let record = given.record(&presented).await;
    assert_eq!((record.secret_hash, record.previous, record.rotated_at), (None, None, None));
    given.apply(&presented, &set("b", "2").expecting("a", Some("1"))).await.made();
    given.apply(&presented, &add("n", 3)).await.made();
    given.apply(&presented, &remove("a")).await.made();
    let conflict = given.apply(&presented, &set("b", "3").expecting("a", Some("1"))).await;
    assert_eq!(conflict, Outcome::Refused(Refusal::Conflict));
    assert_eq!(given.apply(&presented, &add("b", i64::MAX)).await.invalid_field(), "b");
    assert_eq!(given.fields(&presented).await, fields(&[("b", "2"), ("n", "3")]));
    assert_eq!(given.load(&mint_plain()).await, None);
    assert_eq!(given.revoke(&presented).await, 1);
    given.assert_gone(&presented).await;
}

pub async fn creating_a_plain_session_again_resets_nothing<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = plain_session(&given, &[("a", "1")]).await;
    given.apply(&presented, &set("a", "2")).await.made();
    let again = given.create(&new_session(presented, fields(&[("a", "1")]))).await.made();
    assert_eq!(again.record.fields, fields(&[("a", "2")]));
}

pub async fn a_plain_session_is_not_opened_with_a_secret<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = plain_session(&given, &[("a", "1")]).await;
    let with_secret = with_new_secret(&presented);
    assert_eq!(given.load(&with_secret).await, None);
    assert_eq!(given.apply(&with_secret, &set("a", "2")).await, Outcome::Refused(Refusal::Gone));
    assert_eq!(given.fields(&presented).await, fields(&[("a", "1")]));
}

pub async fn a_plain_session_ends_an_absolute_lifetime_after_its_creation<F: Fixture>(fixture: &F) {
    let given = given_lifetimes(fixture, 2, 2).await;
    let presented = plain_session(&given, &[]).await;
    if let Outcome::Done { loaded: touched, .. } = given.apply(&presented, &touch()).await {
        let deadline = whole_second(touched.record.created_at + given.terms.absolute_lifetime);
        assert_eq!(touched.record.expires_at, deadline);
        assert_eq!(touched.record.ends_at(), deadline);
    }
    fixture.advance(Duration::from_secs(2)).await;
    given.assert_gone(&presented).await;
}

pub async fn a_plain_session_is_gone_once_its_idle_timeout_is_over<F: Fixture>(fixture: &F) {
    let given = given_lifetimes(fixture, 1, 3600).await;
    let presented = plain_session(&given, &[("a", "1")]).await;
    fixture.advance(Duration::from_secs(1)).await;
    given.assert_gone(&presented).await;
}

pub async fn names_that_only_secrets_reserve_are_the_applications<F: Fixture>(fixture: &F) {
    let of_the_tutorials = reserved_fields(TokenFormat::Plain);
    let names = reserved_fields(TokenFormat::Secret).iter().filter(|name| !of_the_tutorials.contains(name));
    let given = given(fixture).await;
    for name in names {
        let presented = plain_session(&given, &[(name, "1")]).await;
        let before = given.record(&presented).await;
        for change in [confirm(), touch(), add(name, 1), set(name, "andrew"), confirm()] {
            given.apply(&presented, &change).await.made();
        }
        let record = given.record(&presented).await;
        assert_eq!(record.fields, fields(&[(name, "andrew")]));
        assert_eq!((record.expires_at, record.idle_timeout), (before.expires_at, before.idle_timeout));
        assert_eq!((record.previous, record.rotated_at), (None, None));
        let again = given.create(&new_session(presented, fields(&[]))).await.made().record;
        assert_eq!(again.fields, record.fields);
        assert_eq!(given.revoke(&presented).await, 1, "{name}");
        given.assert_gone(&presented).await;
    }
}
