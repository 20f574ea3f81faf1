//! What a near cache saves, counted on the server.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use cloakroom::store::{NearCache, Store};
use cloakroom::{
    Config, Field, Fresh, RecentSignIn, Session, Sessions,
    store::{Change, Credentials, FieldChanges, Save},
};
use tokio::task::JoinSet;

use super::{Pair, builder, commands, near, until};
use crate::support::redis_server::Monitor;
use crate::support::{Browser, RedisServer};
use crate::{Kept, counter_of, key_of, with_new_secret};

const NAME: Field<String> = Field::new("name");
const NOTHING: [&str; 0] = [];
const READ: [&str; 2] = ["HGETALL", "PTTL"];

#[tokio::test]
async fn a_warm_read_asks_the_server_nothing() {
    let pair = Pair::start().await;
    let presented = pair.warm().await;
    let mut monitor = pair.server.monitor();
    for _ in 0..100 {
        assert!(pair.near.lives(&presented).await);
    }
    assert_eq!(commands(&mut monitor), NOTHING);
}

/// Reads until that asks the server nothing any more: a push of before may be on its way.
async fn warm_up(near: &Kept, presented: &Credentials, monitor: &mut Monitor) {
    for _ in 0..1000 {
        assert!(near.lives(presented).await);
        if commands(monitor).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it stays cold");
}

#[tokio::test]
async fn a_server_sees_its_own_changes_immediately() {
    let pair = Pair::start().await;
    let presented = pair.warm().await;
    // so that the server knows the script
    pair.near.count(&presented).await.unwrap();
    let mut loaded = pair.near.load(&presented).await.unwrap().unwrap();
    let mut monitor = pair.server.monitor();
    for n in 2..20 {
        assert_eq!(pair.near.count_in(&loaded, &presented).await.unwrap(), n);
        loaded = pair.near.load(&presented).await.unwrap().unwrap();
        assert_eq!(counter_of(&loaded), n);
        assert_eq!(commands(&mut monitor), ["EVALSHA", "HGETALL", "PTTL"], "it is read once more");
    }
    warm_up(&pair.near, &presented, &mut monitor).await;
    assert_eq!(pair.near.counter(&presented).await, 19);
    assert_eq!(commands(&mut monitor), NOTHING);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_overtake_each_other_leave_what_the_server_has() {
    let pair = Pair::start().await;
    let presented = pair.warm().await;
    for round in 1..=50 {
        let mut working = JoinSet::new();
        for number in 0..16 {
            let near = pair.near.clone();
            working.spawn(async move {
                match number % 2 {
                    0 => near.count(&presented).await.unwrap(),
                    _ => near.counter(&presented).await,
                }
            });
        }
        working.join_all().await;
        let there: u64 = pair.server.ask(&["HGET", &key_of(&presented), "n"]);
        assert_eq!((there, pair.near.counter(&presented).await), (8 * round, 8 * round));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_was_given_up_half_way_is_seen_once_it_has_happened() {
    let pair = Pair::start().await;
    let presented = pair.warm().await;
    // the server knows the script from now on: nobody is there to tell it
    pair.near.count(&presented).await.unwrap();
    let (mut answered, mut counted) = (1, 1);
    for number in 0..10_000 {
        let patience = async {
            // more and more, because a busy machine takes its time to send a question
            for _ in 0..number % 5 * (1 + number / 200) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            // the question may have left, or may leave later, and nobody waits for the answer
            _ = pair.near.count(&presented) => answered += 1,
            () = patience => {}
        }
        counted = pair.near.counter(&presented).await;
        if number >= 200 && counted > answered {
            break;
        }
    }
    // whatever was on its way is done before this is: it goes the same way
    let last = pair.near.count(&presented).await.unwrap();
    assert_eq!(pair.server.ask::<u64>(&["HGET", &key_of(&presented), "n"]), last);
    assert_eq!(pair.near.counter(&presented).await, last);
    assert!(counted > answered, "none of the changes that were given up was made");
}

#[tokio::test]
async fn a_session_is_not_kept_beyond_its_end_whatever_is_pushed() {
    let pair = Pair::start().await;
    let presented = pair.other.session().await;
    // the server would say so, too, but later
    let idle = FieldChanges { idle_timeout: Some(Duration::from_secs(1)), ..FieldChanges::default() };
    let change = Change::from(Save { fields: idle, touch: true, ..Save::default() });
    pair.near.store.apply(&presented, &change, &pair.near.terms).await.unwrap();
    assert!(pair.near.lives(&presented).await);
    tokio::time::sleep(Duration::from_millis(1010)).await;
    let mut monitor = pair.server.monitor();
    assert!(!pair.near.lives(&presented).await);
    assert_eq!(commands(&mut monitor), READ, "what has ended is for the server to say");
}

#[tokio::test]
async fn a_token_that_opens_nothing_is_asked_of_the_server_each_time() {
    let pair = Pair::start().await;
    let presented = pair.warm().await;
    let mut monitor = pair.server.monitor();
    for wrong in [with_new_secret(&presented), crate::mint()] {
        for _ in 0..2 {
            assert!(!pair.near.lives(&wrong).await);
            assert_eq!(commands(&mut monitor), READ);
        }
    }
    assert!(pair.near.lives(&presented).await);
    assert_eq!(commands(&mut monitor), NOTHING, "and costs whoever has the secret nothing");
}

#[tokio::test]
async fn no_more_sessions_are_kept_than_allowed() {
    let server = RedisServer::start();
    let settings = NearCache::default().max_sessions(50).silence_limit(Duration::from_secs(30));
    let kept = Kept::on(builder(server.url()).near_cache(settings)).await;
    let sessions = kept.sessions(500).await;
    for presented in &sessions {
        assert!(kept.lives(presented).await);
    }
    let mut monitor = server.monitor();
    let mut warm = 0;
    for presented in &sessions {
        assert!(kept.lives(presented).await);
        warm += usize::from(commands(&mut monitor).is_empty());
    }
    assert!(warm <= 50, "{warm} were kept");
}

/// Over HTTP, as the table of costs has it.
fn app(sessions: &Sessions) -> Router {
    Router::new()
        .route("/static", get(async || "a picture"))
        .route("/read", get(async |_: Session| ()))
        .route("/peek", get(async |session: Session| session.peek()))
        .route("/fresh", get(async |_: Fresh| ()))
        .route("/recent", get(async |_: RecentSignIn<600>| ()))
        .route("/both", get(async |_: Session, _: Fresh, _: RecentSignIn<600>| ()))
        .route("/write", get(async |session: Session| session.set(NAME, "andrew")))
        .route("/sign_in", get(async |session: Session| session.sign_in("anna").await))
        .route("/rotate", get(async |session: Session| session.rotate().await))
        .route("/devices", get(async |session: Session| session.devices().await.map(drop)))
        .route("/sign_out", get(async |session: Session| session.sign_out().await))
        .layer(sessions.layer())
}

async fn costs(browser: &Browser, monitor: &mut Monitor, path: &str, expected: &[&str]) {
    browser.visit(path).await;
    assert_eq!(commands(monitor), expected, "{path}");
}

#[tokio::test]
async fn a_request_of_a_warm_session_costs_what_it_writes() {
    let server = RedisServer::start();
    let store = builder(server.url()).connect().await.unwrap();
    let browser = Browser::new(app(&Sessions::new(store, Config::default())));
    // the scripts are there from now on
    for path in ["/write", "/sign_in", "/rotate", "/read", "/devices", "/sign_out", "/write", "/sign_in", "/devices"] {
        browser.visit(path).await;
    }
    let mut monitor = server.monitor();
    for (path, expected) in [
        ("/static", &NOTHING[..]),
        ("/read", &NOTHING),
        ("/write", &["EVALSHA"]),
        ("/fresh", &READ),
        ("/sign_in", &["EVALSHA", "EVALSHA"]),
        ("/recent", &READ),
        ("/both", &READ),
        ("/rotate", &["EVALSHA"]),
        // the new token is confirmed, and the index looked after in the same flight
        ("/read", &["EVALSHA", "EVALSHA"]),
        ("/devices", &["HGETALL", "PTTL", "ZREVRANGEBYSCORE", "HMGET", "PTTL"]),
        ("/sign_out", &["EVALSHA"]),
        ("/read", &NOTHING),
    ] {
        costs(&browser, &mut monitor, path, expected).await;
        // the session as it is now becomes warm
        for _ in 0..3 {
            browser.visit("/peek").await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        commands(&mut monitor);
    }
}

#[tokio::test]
async fn servers_do_not_evict_each_others_sessions_by_reading() {
    let server = RedisServer::start();
    let (here, there) = (near(server.url()).await, near(server.url()).await);
    let presented = here.session().await;
    for kept in [&here, &there] {
        assert!(kept.lives(&presented).await);
    }
    let mut monitor = server.monitor();
    for _ in 0..50 {
        assert!(here.lives(&presented).await && there.lives(&presented).await);
    }
    assert_eq!(commands(&mut monitor), NOTHING);
    // what is written is read once more by each
    here.count(&presented).await.unwrap();
    until("the other server has heard of it", async || there.counter(&presented).await == 1).await;
    for kept in [&here, &there] {
        warm_up(kept, &presented, &mut monitor).await;
    }
    for _ in 0..50 {
        assert_eq!(here.counter(&presented).await, 1);
        assert_eq!(there.counter(&presented).await, 1);
    }
    assert_eq!(commands(&mut monitor), NOTHING);
}
