//! The server's clock is set while sessions live: back after it was ahead, or forward.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use cloakroom::conformance::{mint, mint_plain, new_session, with_new_secret};
use cloakroom::store::operate::{Inspect, Save as _};
use cloakroom::store::{Lookup, Outcome, Redis, Refusal, Store};
use cloakroom::{
    Config, Session, Sessions,
    store::{Fields, SignIn, Terms},
};

use crate::support::{Browser, ServerClock};
use crate::{DAY, PATIENT, Stand, anna, confirm, millis, rotate_to, set, sign_in, touch, touch_of, visit};

/// Within this time a store notices that its server's clock was set.
const NOTICED: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

fn remembered() -> SignIn {
    SignIn { idle_timeout: Some(MONTH), absolute_lifetime: Some(MONTH), ..sign_in() }
}

#[tokio::test]
async fn a_session_lives_on_when_the_servers_clock_is_set_back_in_the_second_half_of_its_life() {
    let mut clock = ServerClock::new();
    let mut stand = Stand::with_clock(&clock).await;
    let presented = stand.signed_in(&remembered()).await;
    clock.advance(MONTH / 2 + HOUR - Duration::from_secs(8 * 60));
    stand.made(&presented, &visit()).await;

    clock.set_back(HOUR);
    assert!(stand.load(&presented).await.is_some(), "it has half a month left");
    tokio::time::sleep(NOTICED).await;
    let now = stand.time();
    let loaded = stand.load(&presented).await.expect("it has half a month left");
    assert!(millis(loaded.now).abs_diff(now) < 2000, "the time is the server's, whatever was written before");
    assert_eq!(stand.listed(&anna()).await, [presented.id]);
    assert!(stand.store.find(&presented.id, &stand.terms).await.unwrap().is_some(), "for the program");
    assert!(stand.store.save(&[presented.id], &stand.terms).await.unwrap()[0].is_some(), "for a copy");
    stand.made(&presented, &visit()).await;
    stand.made(&presented, &touch_of(&loaded)).await;
    assert!(stand.load(&presented).await.is_some());
}

#[tokio::test]
async fn no_session_and_no_secret_ends_by_a_time_that_a_store_still_reckons_from_before_the_clock_was_set_back() {
    let mut clock = ServerClock::new();
    clock.advance(HOUR);
    let mut stand = Stand::with_clock(&clock).await;
    let right = Redis::builder(stand.server.url()).timeout(PATIENT).connect().await.unwrap();
    stand.load(&mint()).await; // this store has just asked for the time, an hour ahead
    clock.set_back(HOUR);
    let reckoning = std::mem::replace(&mut stand.store, right);
    let old = stand.session(&[]).await; // ends in half an hour
    let new = with_new_secret(&old);
    stand.made(&old, &rotate_to(&new)).await;
    stand.made(&new, &confirm()).await;
    let ends = stand.hash(&new)["previous_until"].parse::<u64>().unwrap() * 1000;
    for presented in [new, old] {
        let lookup = reckoning.load(&presented, &stand.terms).await.unwrap();
        assert!(matches!(lookup, Lookup::Live(_)) || stand.time() >= ends, "{lookup:?}");
        let made = reckoning.apply(&presented, &set("theme", "dark"), &stand.terms).await;
        assert!(matches!(made, Ok(Outcome::Done { .. })), "{made:?}");
    }
}

#[tokio::test]
async fn a_session_that_has_ended_is_not_seen_by_a_store_that_still_reckons_from_before_the_clock_was_set_ahead() {
    let mut clock = ServerClock::new();
    let stand = Stand::with_clock(&clock).await;
    let presented = stand.session(&[]).await;
    let loaded = stand.load(&presented).await.expect("it ends in half an hour");
    clock.advance(HOUR);
    assert_eq!(stand.load(&presented).await, None);
    let late = stand.store.apply_to(&loaded, &presented, &touch(), &stand.terms).await.unwrap();
    assert_eq!(late, Outcome::Refused(Refusal::Gone));
}

#[tokio::test]
async fn every_verb_works_in_every_hour_of_a_session_whose_servers_clock_is_set_back() {
    let mut clock = ServerClock::new();
    let stand = Stand::with_clock(&clock).await;
    let mut presented = stand.signed_in(&remembered()).await;
    for _ in 0..14 {
        clock.advance(2 * DAY);
        stand.made(&presented, &visit()).await;
        clock.set_back(2 * HOUR);
        assert!(stand.load(&presented).await.is_some());
        let rotated = with_new_secret(&presented);
        stand.made(&presented, &rotate_to(&rotated)).await;
        stand.made(&rotated, &set("theme", "dark")).await;
        assert!(stand.load(&rotated).await.is_some());
        clock.set_back(HOUR);
        assert!(stand.load(&rotated).await.is_some());
        clock.advance(3 * HOUR);
        assert!(stand.load(&rotated).await.is_some());
        presented = rotated;
    }
}

#[tokio::test]
async fn a_shared_session_lives_on_when_the_servers_clock_is_set_back_near_its_absolute_deadline() {
    let mut clock = ServerClock::new();
    let mut stand = Stand::with_clock(&clock).await;
    stand.terms = Terms { idle_timeout: MONTH, absolute_lifetime: MONTH, ..stand.terms };
    let presented = mint_plain();
    let made = stand.store.create(&new_session(presented, Fields::new()), &stand.terms).await;
    assert!(matches!(made, Ok(Outcome::Done { .. })), "{made:?}");
    clock.advance(MONTH / 2 + HOUR - Duration::from_secs(8 * 60));
    stand.made(&presented, &visit()).await;
    clock.set_back(HOUR);
    assert!(stand.load(&presented).await.is_some(), "it has half a month left");
    assert!(stand.store.find(&presented.id, &stand.terms).await.unwrap().is_some(), "for the program");
}

#[tokio::test]
async fn a_session_that_was_used_while_the_servers_clock_was_ahead_is_kept_by_the_right_clock_after_its_next_visit() {
    let mut clock = ServerClock::new();
    let stand = Stand::with_clock(&clock).await;
    let remembered = SignIn { idle_timeout: Some(HOUR), ..remembered() };
    let presented = stand.signed_in(&remembered).await;
    for _ in 0..48 {
        clock.advance(HOUR / 2);
        stand.made(&presented, &visit()).await;
    }
    clock.set_back(DAY);
    assert!(stand.load(&presented).await.is_some());
    stand.made(&presented, &visit()).await;
    clock.advance(HOUR + HOUR / 2);
    assert_eq!(stand.load(&presented).await, None, "nobody came within the idle timeout");
}

#[tokio::test]
async fn a_secret_that_was_made_while_the_servers_clock_was_ahead_is_replaced_when_the_clock_is_right() {
    let mut clock = ServerClock::new();
    let stand = Stand::with_clock(&clock).await;
    let config = Config::builder().rotate_every(HOUR).store_timeout(PATIENT).build().unwrap();
    let sessions = Sessions::new(stand.store.clone(), config);
    let sign_in = async |session: Session| session.sign_in("anna").await;
    let whoami = async |session: Session| session.user().map(|user| user.to_string()).unwrap_or_default();
    let app = Router::new().route("/sign_in", get(sign_in)).route("/whoami", get(whoami)).layer(sessions.layer());
    let browser = Browser::new(app);
    clock.advance(DAY);
    browser.visit("/sign_in").await;
    assert_eq!(browser.visit("/whoami").await.set_cookie(), None, "it is a moment old");
    clock.set_back(DAY);
    tokio::time::sleep(NOTICED).await;
    let answer = browser.visit("/whoami").await;
    assert_eq!((answer.body.as_str(), answer.set_cookie().is_some()), ("anna", true));
    let answer = browser.visit("/whoami").await;
    assert_eq!((answer.body.as_str(), answer.set_cookie().is_some()), ("anna", false));
}
