//! Where a user is signed in.
#![allow(missing_docs)] // the names say it

use std::time::{Duration, SystemTime};

use super::Fixture;
use super::given::{given, ids_of, limited, rotate_to, set, sign_in, touch, user};
use super::with_new_secret;
use crate::record::{Device, OnLimit, Page, SignIn};
use crate::store::Target;

const ALL: Page = Page { offset: 0, limit: 1000 };

pub async fn a_users_sessions_are_listed_the_latest_sign_in_first<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let anna = user("anna");
    assert_eq!(given.devices(&anna, ALL).await, []);
    let mut sessions = given.signed_in_times(4, &sign_in(&anna)).await;
    // the sessions are in the order of their sign-ins, not of creation, use or rotation
    let visitor = given.session(&[]).await;
    given.apply(&sessions[0], &touch()).await.made();
    given.apply(&sessions[1], &rotate_to(&with_new_secret(&sessions[1]))).await.made();
    sessions.extend(given.signed_in_times(1, &sign_in(&anna)).await);
    sessions.push(given.sign_in(&visitor, &sign_in(&anna)).await.0);

    let mut latest_first = ids_of(&sessions);
    latest_first.reverse();
    assert_eq!(given.listed(&anna).await, latest_first);

    // signing in again makes a session the latest
    let (again, answer) = given.sign_in(&sessions[0], &sign_in(&anna)).await;
    answer.made();
    latest_first.retain(|id| *id != again.id);
    latest_first.insert(0, again.id);
    assert_eq!(given.listed(&anna).await, latest_first);
}

pub async fn a_device_is_what_its_session_says<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let anna = user("anna");
    let new = SignIn {
        auth_time: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
        device: Some("Firefox on Windows 10".to_owned()),
        ip: Some("192.0.2.7".to_owned()),
        ..sign_in(&anna)
    };
    let signed_in = given.signed_in(&new).await;
    given.apply(&signed_in, &set("secret", "is not in the list")).await.made();
    let record = given.record(&signed_in).await;
    assert_eq!(given.devices(&anna, ALL).await, [Device::of(signed_in.id, &record)]);
    let device = Device::of(signed_in.id, &record);
    assert_eq!((device.label, device.ip), (new.device, new.ip));
}

pub async fn devices_come_in_pages<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let anna = user("anna");
    let mut expected = ids_of(&given.signed_in_times(7, &sign_in(&anna)).await);
    expected.reverse();
    for limit in [1, 2, 3, 7, 100] {
        let mut seen = Vec::new();
        for offset in (0..8).step_by(limit) {
            let page = given.devices(&anna, Page { offset, limit }).await;
            assert!(page.len() <= limit);
            seen.extend(page.into_iter().map(|device| device.id));
        }
        assert_eq!(seen, expected, "in pages of {limit}");
    }
    assert_eq!(given.devices(&anna, Page { offset: 7, limit: 3 }).await, []);
    assert_eq!(given.devices(&anna, Page { offset: 0, limit: 0 }).await, []);
}

pub async fn sessions_that_have_ended_are_not_listed<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let anna = user("anna");
    let evicted = given.signed_in(&sign_in(&anna)).await;
    let kept = given.signed_in_times(2, &sign_in(&anna)).await;
    let latest = given.signed_in(&limited(&anna, 3, OnLimit::EvictOldest)).await;
    assert_eq!(given.load(&evicted).await, None);
    let brief = SignIn { idle_timeout: Some(Duration::from_secs(1)), ..sign_in(&anna) };
    let expired = given.signed_in(&brief).await;
    let revoked = given.signed_in(&sign_in(&anna)).await;
    let signed_out = given.signed_in(&sign_in(&anna)).await;
    given.revoke(&revoked).await;
    given.end(Target::SessionOf(anna.clone(), signed_out.id)).await;
    fixture.advance(Duration::from_secs(1)).await;
    given.assert_gone(&expired).await;

    // more than once: looking must not bring anything back either
    for _ in 0..2 {
        assert_eq!(given.listed(&anna).await, [latest.id, kept[1].id, kept[0].id]);
    }
    // the sessions that have ended no longer take places on the first page
    assert_eq!(given.devices(&anna, Page { offset: 0, limit: 1 }).await[0].id, latest.id);
}

pub async fn visitors_are_in_nobodys_list<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    given.session(&[("user_name", "anna")]).await;
    let visitor = given.session(&[]).await;
    let anna = user("anna");
    given.signed_in(&limited(&anna, 1, OnLimit::RefuseNew)).await;
    let (_, answer) = given.sign_in(&visitor, &limited(&anna, 1, OnLimit::RefuseNew)).await;
    answer.refused();
    assert_eq!(given.listed(&anna).await.len(), 1);
    assert_eq!(given.listed(&user(visitor.id.expose())).await, []);
}

pub async fn strange_user_ids_list_and_end_their_own_sessions_only<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let long = "x".repeat(255);
    let nearly = "x".repeat(254);
    let strange = [
        "*",
        "?",
        "[a-z]",
        "a",
        "a:b",
        "a:",
        ":a",
        "ab",
        "{x}",
        "x",
        "}{",
        "a\nb",
        "a\r\nDEL a",
        " ",
        "a b",
        "\0",
        "\\",
        "\"",
        "'; return 1",
        "user:a",
        "session:user:a",
        "\u{1F9E5}",
        "1",
        "01",
        "1.0",
        "-inf",
        "(1",
        &long,
        &nearly,
    ];
    let mut sessions = Vec::new();
    for id in strange {
        sessions.push(given.signed_in_times(2, &sign_in(&user(id))).await);
    }
    for (id, own) in strange.iter().zip(&sessions) {
        assert_eq!(given.listed(&user(id)).await, [own[1].id, own[0].id], "{id:?}");
        assert_eq!(given.record(&own[0]).await.user_id, Some(user(id)));
    }
    // each user in turn ends their own sessions, and nobody else's
    for (i, id) in strange.iter().enumerate() {
        assert_eq!(given.end(Target::AllOf(user(id))).await, 2, "{id:?}");
        for (other, own) in strange.iter().zip(&sessions).skip(i + 1) {
            assert_eq!(given.listed(&user(other)).await.len(), 2, "{other:?} after {id:?}");
            given.load(&own[0]).await.expect("it lives");
        }
    }
}
