//! What each method costs: the commands that the server saw.

use std::time::Duration;

use cloakroom::{Config, Field, LiveSession, Result, Sessions};

use crate::support::redis_server::Monitor;
use crate::support::{Browser, Place};
use crate::{COUNT, Held, NAME, World, app, soon};

const READ: [&str; 1] = ["HGETALL"];
/// One flight as well.
const READ_BY_ID: [&str; 2] = ["HGETALL", "PTTL"];
const CHANGE: [&str; 1] = ["EVALSHA"];
const NOTHING: [&str; 0] = [];
const CART: Field<Vec<u32>> = Field::new("cart");

/// Sessions in a server that knows the scripts, and who watches what it is asked.
async fn watched() -> (Place, Sessions, Monitor) {
    let place = Place::redis().await;
    let sessions = place.sessions();
    let (_, session) = sessions.create().await.unwrap();
    session.set(NAME, "Ada").await.unwrap();
    session.end().await.unwrap();
    let (_, session) = sessions.create().sign_in("bob").await.unwrap();
    sessions.revoke(&session.id()).await.unwrap();
    let monitor = place.server().monitor();
    (place, sessions, monitor)
}

#[tokio::test]
async fn every_method_costs_what_its_documentation_says() {
    let (_place, sessions, mut monitor) = watched().await;
    let (token, made) = sessions.create().set(NAME, "Ada").await.unwrap();
    assert_eq!(monitor.commands(), CHANGE, "create");
    sessions.create().sign_in("ada").await.unwrap();
    let asked = monitor.commands();
    assert_eq!(asked.iter().filter(|command| *command == "EVALSHA").count(), 3, "create with a user: {asked:?}");
    assert!(sessions.find_by_token("malformed").await.unwrap().is_none());
    assert_eq!(monitor.commands(), NOTHING, "find_by_token with what is no token");
    let opened = sessions.find_by_token(token.expose()).await.unwrap().unwrap();
    assert_eq!(monitor.commands(), READ, "find_by_token");
    let found = sessions.find(&made.id()).await.unwrap().unwrap();
    assert_eq!(monitor.commands(), READ_BY_ID, "find");

    for (session, read) in [(made, &READ[..]), (opened, &READ[..]), (found, &READ_BY_ID[..])] {
        // another handle has changed the idle timeout, on which a change rests
        session.refresh().await.unwrap();
        monitor.commands();
        let what_is_known = (session.user(), session.auth_time(), session.get(NAME).unwrap(), session.fields());
        assert_eq!((what_is_known.2.as_deref(), monitor.commands()), (Some("Ada"), vec![]));
        let mut costs = async |what: &str, done: Result<()>, expected: &[&str]| {
            done.unwrap();
            assert_eq!(monitor.commands(), expected, "{what}");
        };
        costs("set", session.set(NAME, "Ada").await, &CHANGE).await;
        costs("increment", session.increment(COUNT, 1).await.map(drop), &CHANGE).await;
        costs("remove", session.remove(COUNT).await, &CHANGE).await;
        costs("refresh", session.refresh().await, read).await;
        costs("update", session.update(CART, |cart| cart.push(7)).await, &CHANGE).await;
        costs("take", session.take(CART).await.map(drop), &[read, &CHANGE[..]].concat()).await;
        costs("take of nothing", session.take(CART).await.map(drop), read).await;
        costs("set_idle_timeout", session.set_idle_timeout(Duration::from_secs(600)).await, &CHANGE).await;
        costs("touch", session.touch().await, &CHANGE).await;
        costs("is_live", session.is_live().await.map(drop), read).await;
    }
}

#[tokio::test]
async fn a_change_with_a_handle_that_has_seen_its_session_long_ago_costs_one_round_trip() {
    let (_place, sessions, mut monitor) = watched().await;
    let (_, session) = sessions.create().await.unwrap();
    monitor.commands();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        session.increment(COUNT, 1).await.unwrap();
        assert_eq!(monitor.commands(), CHANGE);
    }
}

#[tokio::test]
async fn an_end_costs_one_round_trip_and_a_replaced_secret_two_more_for_who_knows_the_id() {
    let (_place, sessions, mut monitor) = watched().await;
    let (token, made) = sessions.create().await.unwrap();
    monitor.commands();
    assert!(made.end().await.unwrap());
    assert_eq!(monitor.commands(), CHANGE);
    assert!(sessions.find_by_token(token.expose()).await.unwrap().is_none());

    let browser = Browser::new(app(&sessions, &Held::default()));
    let (token, made) = sessions.create().await.unwrap();
    let found: LiveSession = sessions.find(&made.id()).await.unwrap().unwrap();
    browser.carry("__Host-sid", token.expose());
    browser.visit("/sign_in").await;
    monitor.commands();
    found.set(NAME, "Ada").await.unwrap();
    let asked = monitor.commands();
    assert_eq!(asked.iter().filter(|command| *command == "EVALSHA").count(), 2, "{asked:?}");
    found.set(NAME, "Grace").await.unwrap();
    assert_eq!(monitor.commands(), CHANGE);
    assert!(found.end().await.unwrap());
    assert_eq!(monitor.commands(), CHANGE);
}

#[tokio::test]
async fn a_handle_for_a_stream_costs_nothing_and_stores_what_was_deferred() {
    let place = Place::redis().await;
    let browser = Browser::new(app(&place.sessions_with(Config::builder()), &Held::default()));
    for path in ["/write", "/write"] {
        browser.visit(path).await;
    }
    let mut monitor = place.server().monitor();
    browser.visit("/stream").await;
    assert_eq!(monitor.commands(), READ, "the request itself");
}

#[tokio::test]
async fn waiting_for_the_end_costs_a_read_per_interval_and_nothing_with_a_near_cache() {
    for (near, expected) in [(false, &READ[..]), (true, &NOTHING[..])] {
        let world = World::redis(near).await;
        let (_, live) = world.here.create().await.unwrap();
        let live = live.check_every(Duration::from_millis(100));
        live.refresh().await.unwrap(); // a near cache keeps it from now on
        let mut monitor = world.server.as_ref().unwrap().monitor();
        let waiting = tokio::spawn({
            let live = live.clone();
            async move { live.ended().await }
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        let asked: Vec<_> = monitor.commands().into_iter().filter(|name| READ.contains(&name.as_str())).collect();
        assert!(asked.iter().all(|name| expected.contains(&name.as_str())), "{asked:?}");
        assert_eq!(asked.is_empty(), near);
        world.elsewhere.revoke(&live.id()).await.unwrap();
        assert_eq!(soon("the end", waiting).await.unwrap().unwrap(), None);
    }
}
