//! Binding a user: always with a new secret and a new lifetime. No secret from before reads the session any more.
#![allow(missing_docs)] // the names say it

use std::time::{Duration, SystemTime};

use super::given::{
    add, bind, confirm, fields, given, given_lifetimes, idle, rotate_to, set, sign_in, touch, user, whole_second,
};
use super::lifetime::in_time;
use super::{Fixture, with_new_secret};
use crate::record::{Refusal, SignIn};
use crate::store::{Lookup, Outcome};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

pub async fn signing_in_binds_the_user_with_a_new_secret<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let visitor = given.session(&[("cart", "[1,2]"), ("n", "3")]).await;
    let before = given.record(&visitor).await;
    let anna = user("anna");

    let (signed_in, answer) = given.sign_in(&visitor, &sign_in(&anna)).await;

    let made = answer.made();
    let mut expected = before.as_ref().clone();
    expected.secret_hash = signed_in.secret_hash;
    expected.previous = None;
    expected.rotated_at = Some(whole_second(made.now));
    expected.user_id = Some(anna);
    expected.auth_time = Some(whole_second(made.now));
    expected.signed_in_at = Some(whole_second(made.now));
    expected.sign_in_secret_hash = visitor.secret_hash;
    expected.last_accessed_at = made.now;
    expected.expires_at = whole_second(made.now + given.terms.absolute_lifetime);
    assert_eq!(*made.record, expected);
    assert_eq!(*given.record(&signed_in).await, expected);
}

pub async fn a_token_planted_before_a_sign_in_reads_nothing_after_it<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    // the thief made a session and planted its token, and has even rotated the session, so that one more secret is held
    let planted = given.session(&[]).await;
    let held = with_new_secret(&planted);
    given.apply(&planted, &rotate_to(&held)).await.made();
    let (signed_in, answer) = given.sign_in(&held, &sign_in(&user("victim"))).await;
    assert_eq!(answer.made().record.previous, None);

    for stale in [&planted, &held] {
        assert_eq!(given.look_up(stale).await, Lookup::Gone);
        for change in [set("a", "1"), add("a", 1), touch(), confirm(), rotate_to(&with_new_secret(stale))] {
            assert_eq!(given.apply(stale, &change).await, Outcome::Refused(Refusal::Gone), "{change:?}");
        }
        let (_, again) = given.sign_in(stale, &sign_in(&user("thief"))).await;
        assert_eq!(again, Outcome::Refused(Refusal::Conflict));
    }
    assert_eq!(given.fields(&signed_in).await, fields(&[]));
    assert_eq!(given.record(&signed_in).await.user_id, Some(user("victim")));
}

pub async fn signing_in_starts_a_new_absolute_lifetime<F: Fixture>(fixture: &F) {
    let given = given_lifetimes(fixture, 5, 5).await;
    let (before, made, later) = in_time(4 * SECOND, async || {
        let visitor = given.session(&[]).await;
        let before = given.record(&visitor).await;
        fixture.advance(2 * SECOND).await;
        let (signed_in, answer) = given.sign_in(&visitor, &sign_in(&user("anna"))).await;
        (before, answer, (visitor, signed_in))
    })
    .await;
    let made = made.made();
    assert!(made.record.expires_at > before.expires_at + SECOND);
    assert!(made.record.ends_at() > before.ends_at());
    assert_eq!(made.record.created_at, before.created_at);
    // and the session ends with its new lifetime, for every verb
    fixture.advance(6 * SECOND).await;
    given.assert_gone(&later.1).await;
    given.assert_gone(&later.0).await;
}

pub async fn a_sign_in_may_have_lifetimes_of_its_own_beyond_the_configured<F: Fixture>(fixture: &F) {
    let given = given_lifetimes(fixture, 60, 3600).await;
    let visitor = given.session(&[]).await;
    let remembered =
        SignIn { idle_timeout: Some(48 * HOUR), absolute_lifetime: Some(72 * HOUR), ..sign_in(&user("anna")) };
    let (signed_in, answer) = given.sign_in(&visitor, &remembered).await;
    let made = answer.made();
    assert_eq!(made.record.idle_timeout, 48 * HOUR);
    assert_eq!(made.record.expires_at, whole_second(made.now + 72 * HOUR));
    assert_eq!(made.record.ends_at(), made.now + 48 * HOUR);

    // later changes keep these lifetimes
    let confirmed = confirm().of_a_request();
    for change in [touch(), set("a", "1"), confirmed] {
        let later = given.apply(&signed_in, &change).await.made().record;
        assert_eq!((later.idle_timeout, later.expires_at), (48 * HOUR, made.record.expires_at), "{change:?}");
        assert_eq!(given.record(&signed_in).await, later);
    }
    let longer = given.apply(&signed_in, &idle(71 * HOUR)).await.made().record;
    assert_eq!(longer.idle_timeout, 71 * HOUR);
    let rotated = with_new_secret(&signed_in);
    let later = given.apply(&signed_in, &rotate_to(&rotated)).await.made().record;
    assert_eq!((later.idle_timeout, later.expires_at), (71 * HOUR, made.record.expires_at));
}

pub async fn a_sign_in_may_have_lifetimes_of_its_own_below_the_configured<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let visitor = given.session(&[]).await;
    let brief = SignIn { idle_timeout: Some(SECOND), absolute_lifetime: Some(2 * SECOND), ..sign_in(&user("anna")) };
    let (signed_in, answer) = given.sign_in(&visitor, &brief).await;
    let made = answer.made();
    assert_eq!(made.record.idle_timeout, SECOND);
    assert!(made.record.expires_at <= made.now + 2 * SECOND);
    fixture.advance(SECOND).await;
    given.assert_gone(&signed_in).await;
    given.assert_gone(&visitor).await;
}

pub async fn a_sign_in_keeps_the_fields_or_discards_them<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    for discard_fields in [false, true] {
        let visitor = given.session(&[("cart", "[1]"), ("theme", "dark")]).await;
        let new = SignIn { discard_fields, ..sign_in(&user("anna")) };
        let (rotated, answer) = given.sign_in(&visitor, &new).await;
        let made = answer.made().record;
        let kept = fields(&[("cart", "[1]"), ("theme", "dark")]);
        assert_eq!(made.fields, if discard_fields { fields(&[]) } else { kept });
        assert_eq!(given.record(&rotated).await, made);
    }
}

pub async fn a_sign_in_stores_where_and_when<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let visitor = given.session(&[]).await;
    let proved = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let anna = user("anna");
    let new = SignIn {
        auth_time: Some(proved),
        device: Some("Anna's \u{1F4F1}: \"a\"".to_owned()),
        ip: Some("2001:db8::1".to_owned()),
        ..sign_in(&anna)
    };
    let (signed_in, answer) = given.sign_in(&visitor, &new).await;
    answer.made();
    let record = given.record(&signed_in).await;
    assert_eq!((record.auth_time, &record.device, &record.ip), (Some(proved), &new.device, &new.ip));

    // the next sign-in replaces the device and the address, even if it names none
    let (again, answer) = given.sign_in(&signed_in, &sign_in(&anna)).await;
    let made = answer.made();
    assert_eq!((&made.record.device, &made.record.ip), (&None, &None));
    assert_eq!(made.record.auth_time, Some(whole_second(made.now)));
    assert_eq!(given.record(&again).await, made.record);
    assert_eq!(given.look_up(&signed_in).await, Lookup::Gone);
}

pub async fn signing_in_again_to_the_same_secret_repeats_nothing<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let anna = user("anna");
    let visitor = given.session(&[("n", "1")]).await;
    let rotated = with_new_secret(&visitor);
    let change = bind(&rotated, &SignIn { discard_fields: true, ..sign_in(&anna) });
    let first = given.apply(&visitor, &change).await.made().record;
    for asking in [&visitor, &rotated, &visitor] {
        let again = given.apply(asking, &change).await;
        assert_eq!(again.clone().made().record, first);
        assert_eq!(again.evicted(), []);
    }
    assert_eq!(given.listed(&anna).await, [visitor.id]);
    assert_eq!(given.record(&rotated).await, first);
}

pub async fn another_user_on_a_bound_session_is_a_conflict<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let signed_in = given.signed_in(&sign_in(&user("anna"))).await;
    let before = given.record(&signed_in).await;
    let (rotated, answer) = given.sign_in(&signed_in, &sign_in(&user("bert"))).await;
    assert_eq!(answer, Outcome::Refused(Refusal::Conflict));
    assert_eq!(given.load(&rotated).await, None);
    assert_eq!(given.record(&signed_in).await, before);
    assert_eq!(given.listed(&user("anna")).await, [signed_in.id]);
    assert_eq!(given.listed(&user("bert")).await, []);
}

pub async fn a_held_previous_secret_may_sign_in_and_no_other_is_left<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let old = given.session(&[("cart", "[1]")]).await;
    let new = with_new_secret(&old);
    given.apply(&old, &rotate_to(&new)).await.made();
    let (rotated, answer) = given.sign_in(&old, &sign_in(&user("anna"))).await;
    let record = answer.made().record;
    assert_eq!((record.secret_hash, record.previous), (rotated.secret_hash, None));
    assert_eq!(given.fields(&rotated).await, fields(&[("cart", "[1]")]));
    for stale in [&old, &new] {
        assert_eq!(given.look_up(stale).await, Lookup::Gone);
    }
    assert_eq!(given.listed(&user("anna")).await, [rotated.id]);
}

pub async fn a_second_click_is_the_same_sign_in_and_both_secrets_open_it<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let visitor = given.session(&[("cart", "[1]")]).await;
    let anna = sign_in(&user("anna"));
    let (first, answer) = given.sign_in(&visitor, &anna).await;
    let before = answer.made().record;
    // the second click asks in the usual way, or only for the sign-in that was done before (`only_again`); and the fields
    // that the visitor had are not dropped any more, even if the click asks for that
    let only_again = SignIn { only_again: true, ..anna.clone() };
    for new in [SignIn { discard_fields: true, ..anna.clone() }, only_again.clone()] {
        let (second, answer) = given.sign_in(&visitor, &new).await;
        let after = answer.made().record;
        assert_eq!(after.secret_hash, second.secret_hash);
        let (signed_in_at, expires_at) = (after.signed_in_at, after.expires_at);
        assert_eq!((signed_in_at, expires_at), (before.signed_in_at, before.expires_at), "nothing is granted anew");
        assert_eq!(given.fields(&second).await, fields(&[("cart", "[1]")]));
    }
    assert_eq!(given.look_up(&visitor).await, Lookup::Gone);
    assert_eq!(given.listed(&user("anna")).await, [visitor.id]);
    // the second answer held the first answer's secret, and the third no longer holds it
    assert_eq!(given.load(&first).await, None);

    // the sign-in of another user is not repeated, nor is one with another secret
    let (_, answer) = given.sign_in(&visitor, &sign_in(&user("mallory"))).await;
    assert_eq!(answer, Outcome::Refused(Refusal::Conflict));
    for other in [first, with_new_secret(&visitor)] {
        let (_, answer) = given.sign_in(&other, &only_again).await;
        assert_eq!(answer, Outcome::Refused(Refusal::Conflict));
    }
    assert_eq!(given.sign_in(&super::mint(), &only_again).await.1, Outcome::Refused(Refusal::Gone));
}

pub async fn a_sign_in_is_not_repeated_after_the_grace<F: Fixture>(fixture: &F) {
    let mut given = given(fixture).await;
    given.terms.rotation_grace = SECOND;
    let visitor = given.session(&[]).await;
    let (signed_in, answer) = given.sign_in(&visitor, &sign_in(&user("anna"))).await;
    answer.made();
    fixture.advance(2 * SECOND + SECOND / 10).await;
    let (_, answer) = given.sign_in(&visitor, &sign_in(&user("anna"))).await;
    assert_eq!(answer, Outcome::Refused(Refusal::Conflict));
    // and the next change forgets the secret that the sign-in replaced
    assert_eq!(given.apply(&signed_in, &touch()).await.made().record.sign_in_secret_hash, None);
}

pub async fn what_a_sign_in_grants_is_kept_as_it_is<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let granted = SignIn {
        absolute_lifetime: Some(72 * HOUR),
        cookie_max_age: Some(Duration::ZERO),
        auth_time: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
        ..sign_in(&user("anna"))
    };
    let mut signed_in = given.session(&[]).await;
    for _ in 0..3 {
        let (rotated, answer) = given.sign_in(&signed_in, &granted).await;
        let made = answer.made();
        let record = made.record;
        assert_eq!(record.signed_in_at, Some(whole_second(made.now)));
        assert_eq!(record.expires_at, whole_second(made.now) + 72 * HOUR, "an old proof adds nothing");
        let kept = (record.absolute_lifetime, record.cookie_max_age);
        assert_eq!(kept, (granted.absolute_lifetime, granted.cookie_max_age));
        assert_eq!(given.record(&rotated).await, record);
        signed_in = rotated;
    }
}

pub async fn a_wrong_secret_signs_nobody_in<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let visitor = given.session(&[("a", "1")]).await;
    let before = given.record(&visitor).await;
    let guessed = with_new_secret(&visitor);
    let (_, answer) = given.sign_in(&guessed, &sign_in(&user("anna"))).await;
    assert_eq!(answer, Outcome::Refused(Refusal::Conflict));
    assert_eq!(given.record(&visitor).await, before);
    assert_eq!(given.listed(&user("anna")).await, []);
}

pub async fn a_session_that_is_gone_cannot_be_signed_in<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let anna = user("anna");
    let nobodys = super::mint();
    let revoked = given.session(&[("a", "1")]).await;
    given.revoke(&revoked).await;
    let signed_out = given.signed_in(&sign_in(&anna)).await;
    given.revoke(&signed_out).await;
    for presented in [nobodys, revoked, signed_out] {
        let (rotated, answer) = given.sign_in(&presented, &sign_in(&anna)).await;
        assert_eq!(answer, Outcome::Refused(Refusal::Gone));
        given.assert_gone(&presented).await;
        given.assert_gone(&rotated).await;
    }
    assert_eq!(given.listed(&anna).await, []);
}

pub async fn of_many_sign_ins_of_one_session_at_once_one_user_wins<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    for round in 0..20 {
        let visitor = given.session(&[("cart", "[1]")]).await;
        let mut tasks = tokio::task::JoinSet::new();
        for i in 0..4 {
            let given = given.clone();
            // two users, each of them twice: double clicks, and tabs that do not know of each other
            let name = format!("round {round}, user {}", i / 2);
            tasks.spawn(async move {
                let (rotated, answer) = given.sign_in(&visitor, &sign_in(&user(&name))).await;
                (name, rotated, answer)
            });
        }
        let mut winners = Vec::new();
        for (name, rotated, answer) in tasks.join_all().await {
            match answer {
                Outcome::Done { .. } => winners.push((name, rotated)),
                Outcome::Refused(refusal) => {
                    assert_eq!(refusal, Refusal::Conflict);
                    assert_eq!(given.load(&rotated).await, None);
                }
            }
        }
        let (name, _) = &winners[0];
        assert_eq!(winners.iter().filter(|(winner, _)| winner == name).count(), 2, "both clicks of one user");
        assert_eq!(winners.len(), 2);
        for (_, rotated) in &winners {
            assert_eq!(given.record(rotated).await.user_id, Some(user(name)));
        }
        assert_eq!(given.look_up(&visitor).await, Lookup::Gone);
        for i in 0..2 {
            let other = format!("round {round}, user {i}");
            let expected = if other == *name { vec![visitor.id] } else { vec![] };
            assert_eq!(given.listed(&user(&other)).await, expected);
        }
    }
}
