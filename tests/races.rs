//! Requests that meet: what came late, what came together, and what a parallel response has just set.

mod support;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use cloakroom::{Config, Error, Field, Session, Sessions};
use support::{Answer, Browser, Place, on_each_store};
use tokio::sync::Notify;

const NAME: Field<String> = Field::new("name");
const COUNT: Field<i64> = Field::new("count");

/// Holds a handler at a point until the test lets it go.
#[derive(Clone, Default)]
struct Gate {
    arrived: Arc<Notify>,
    open: Arc<Notify>,
}

impl Gate {
    async fn pass(&self) {
        self.arrived.notify_one();
        self.open.notified().await;
    }

    /// Runs `meanwhile` between the moment at which the handler stands here and the moment at which it goes on.
    async fn while_held(&self, held: impl Future<Output = Answer>, meanwhile: impl AsyncFnOnce()) -> Answer {
        let (answer, ()) = tokio::join!(held, async {
            self.arrived.notified().await;
            meanwhile().await;
            self.open.notify_one();
        });
        answer
    }
}

fn app(sessions: &Sessions, gate: &Gate) -> Router {
    let show = async |session: Session| {
        Ok::<_, Error>(format!("{:?} {}", session.get(NAME)?.unwrap_or_default(), session.get(COUNT)?.unwrap_or(0)))
    };
    let held = gate.clone();
    // loads, waits, and then does what the path says
    let slow = async move |session: Session, Path(verb): Path<String>| {
        held.pass().await;
        done(&session, &verb).await
    };
    Router::new()
        .route("/show", get(show))
        .route("/slow/{verb}", get(slow))
        .route("/{verb}", get(async |session: Session, Path(verb): Path<String>| done(&session, &verb).await))
        .layer(sessions.layer())
}

async fn done(session: &Session, verb: &str) -> Result<(), Error> {
    match verb {
        "read" => session.get(NAME).map(drop),
        "name" => session.set(NAME, "late"),
        "count" => session.increment(COUNT, 1).await.map(drop),
        "rotate" => session.rotate().await,
        "sign_out" => session.sign_out().await,
        "sign_out_and_begin" => {
            session.sign_out().await?;
            session.set(NAME, "the next one")
        }
        field => session.set(Field::<String>::named(field.to_owned()), field),
    }
}

/// A browser with a session that holds `name = andrew`, at an application with a gate.
async fn scene(place: &Place) -> (Browser, Gate) {
    let gate = Gate::default();
    let eager = Config::builder().touch_interval(std::time::Duration::ZERO);
    let browser = Browser::new(app(&place.sessions_with(eager), &gate));
    browser.visit("/name").await;
    (browser, gate)
}

fn keys(place: &Place) -> i64 {
    redis::cmd("DBSIZE").query(&mut place.server().client()).unwrap()
}

#[tokio::test]
async fn a_late_change_after_a_sign_out_is_a_401_and_brings_nothing_back() {
    for verb in ["name", "count", "rotate", "other"] {
        on_each_store(async |place| {
            let (browser, gate) = scene(&place).await;
            let token = browser.token().unwrap();
            let path = format!("/slow/{verb}");
            let slow = gate.while_held(browser.get(&path), async || drop(browser.visit("/sign_out").await)).await;
            assert_eq!(slow.status, 401, "{verb}");
            assert_eq!(slow.set_cookie(), None, "{verb}");
            assert_eq!(browser.token(), None, "{verb}");
            let old = browser.send("/show", Some(&format!("__Host-sid={token}"))).await;
            assert_eq!(old.body, "\"\" 0", "{verb}");
            assert!(!place.is_redis() || keys(&place) == 0, "{verb}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_late_read_after_a_sign_out_answers_and_brings_nothing_back() {
    on_each_store(async |place| {
        let (browser, gate) = scene(&place).await;
        let slow = gate.while_held(browser.get("/slow/read"), async || drop(browser.visit("/sign_out").await)).await;
        assert_eq!((slow.status.as_u16(), slow.set_cookie()), (200, None));
        assert!(!place.is_redis() || keys(&place) == 0);
    })
    .await;
}

#[tokio::test]
async fn a_late_sign_out_never_ends_the_next_session() {
    on_each_store(async |place| {
        let (browser, gate) = scene(&place).await;
        let begin = async || drop(browser.visit("/sign_out_and_begin").await);
        let cookie = browser.cookie_header();
        let slow = browser.send("/slow/sign_out", cookie.as_deref());
        let late = gate.while_held(slow, begin).await;
        assert_eq!(late.status, 200, "the session that it came with has ended");
        assert_eq!(browser.visit("/show").await.body, "\"the next one\" 0");
    })
    .await;
}

#[tokio::test]
async fn two_sign_outs_at_once_are_both_told_that_it_is_done() {
    on_each_store(async |place| {
        let (browser, gate) = scene(&place).await;
        let late =
            gate.while_held(browser.get("/slow/sign_out"), async || drop(browser.visit("/sign_out").await)).await;
        assert_eq!(late.status, 200);
        assert!(late.set_cookie().unwrap().contains("Max-Age=0"));
        assert_eq!(browser.token(), None);
    })
    .await;
}

#[tokio::test]
async fn two_requests_that_change_different_fields_both_win() {
    on_each_store(async |place| {
        let gate = Gate::default();
        let sessions = place.sessions();
        let all = async |session: Session| {
            let fields: HashMap<_, _> = session.stored().into_iter().collect();
            format!("{:?} {:?} {:?}", fields.get("name"), fields.get("a"), fields.get("b"))
        };
        let browser = Browser::new(app(&sessions, &gate).route("/all", get(all)).layer(sessions.layer()));
        browser.visit("/name").await;
        gate.while_held(browser.get("/slow/a"), async || drop(browser.visit("/b").await)).await;
        assert_eq!(browser.visit("/all").await.body, r#"Some("late") Some("a") Some("b")"#);
    })
    .await;
}

#[tokio::test]
async fn parallel_increments_of_many_requests_add_up() {
    on_each_store(async |place| {
        let (browser, _) = scene(&place).await;
        let mut requests = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let tab = browser.clone();
            requests.spawn(async move { tab.visit("/count").await });
        }
        requests.join_all().await;
        assert_eq!(browser.visit("/show").await.body, "\"late\" 50");
    })
    .await;
}

#[tokio::test]
async fn requests_around_a_rotation_do_not_lose_the_session() {
    for verb in ["read", "count", "name"] {
        on_each_store(async |place| {
            let (browser, gate) = scene(&place).await;
            // loaded before the rotation, saved after it and after the new token's first use
            let path = format!("/slow/{verb}");
            let rotate = async || {
                browser.visit("/rotate").await;
                browser.visit("/show").await;
            };
            let slow = gate.while_held(browser.get(&path), rotate).await;
            assert_eq!((slow.status.as_u16(), slow.set_cookie()), (200, None), "{verb}");
            let expected = if verb == "count" { "\"late\" 1" } else { "\"late\" 0" };
            assert_eq!(browser.visit("/show").await.body, expected, "{verb}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_request_that_left_with_the_old_token_still_reads_and_writes_within_the_grace() {
    on_each_store(async |place| {
        let (browser, _) = scene(&place).await;
        let old = format!("__Host-sid={}", browser.token().unwrap());
        browser.visit("/rotate").await;
        for first_use in ["before", "after"] {
            let answer = browser.send("/count", Some(&old)).await;
            assert_eq!((answer.status.as_u16(), answer.set_cookie()), (200, None), "{first_use}");
            browser.visit("/show").await;
        }
        assert_eq!(browser.visit("/show").await.body, "\"late\" 2");
    })
    .await;
}

#[tokio::test]
async fn a_rotation_whose_answer_never_arrived_leaves_the_old_token_good() {
    on_each_store(async |place| {
        let (browser, _) = scene(&place).await;
        let old = format!("__Host-sid={}", browser.token().unwrap());
        let lost = browser.send("/rotate", Some(&old)).await;
        assert!(lost.set_cookie().is_some(), "it never reaches the browser");
        for _ in 0..3 {
            assert_eq!(browser.visit("/show").await.body, "\"late\" 0");
            place.clock.advance(std::time::Duration::from_secs(60));
        }
    })
    .await;
}

#[tokio::test]
async fn after_the_grace_the_old_token_is_stale() {
    let place = Place::memory();
    let (browser, _) = scene(&place).await;
    let old = format!("__Host-sid={}", browser.token().unwrap());
    browser.visit("/rotate").await;
    browser.visit("/show").await;
    place.clock.advance(std::time::Duration::from_secs(12));
    assert_eq!(browser.send("/show", Some(&old)).await.body, "\"\" 0");
    assert_eq!(browser.visit("/show").await.body, "\"late\" 0");
}

#[tokio::test]
async fn after_the_grace_the_old_token_is_stale_in_redis_too() {
    let place = Place::redis().await;
    let config = Config::builder().rotation_grace(std::time::Duration::from_secs(1));
    let browser = Browser::new(app(&place.sessions_with(config), &Gate::default()));
    browser.visit("/name").await;
    let old = format!("__Host-sid={}", browser.token().unwrap());
    browser.visit("/rotate").await;
    browser.visit("/show").await;
    while browser.send("/show", Some(&old)).await.body != "\"\" 0" {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(browser.visit("/show").await.body, "\"late\" 0");
}

#[tokio::test]
async fn two_rotations_at_once_mint_one_token_and_the_other_is_told() {
    on_each_store(async |place| {
        let (browser, gate) = scene(&place).await;
        let late = gate.while_held(browser.get("/slow/rotate"), async || drop(browser.visit("/rotate").await)).await;
        assert_eq!((late.status.as_u16(), late.set_cookie()), (409, None));
        assert_eq!(browser.visit("/show").await.body, "\"late\" 0");
    })
    .await;
}

#[tokio::test]
async fn many_rotations_and_reads_at_once_never_lose_the_session() {
    on_each_store(async |place| {
        let (browser, _) = scene(&place).await;
        for _ in 0..10 {
            let mut requests = tokio::task::JoinSet::new();
            for path in ["/rotate", "/count", "/rotate", "/show", "/name"] {
                let tab = browser.clone();
                requests.spawn(async move { tab.get(path).await });
            }
            for answer in requests.join_all().await {
                assert!([200, 409].contains(&answer.status.as_u16()), "{answer:?}");
            }
        }
        assert_eq!(browser.visit("/show").await.body, "\"late\" 10");
    })
    .await;
}

#[tokio::test]
async fn a_stale_response_never_removes_the_cookie_that_a_parallel_one_has_just_set() {
    on_each_store(async |place| {
        let (browser, gate) = scene(&place).await;
        browser.visit("/sign_out_and_begin").await;
        let fresh = browser.token().unwrap();
        // the tab still sends what it had before, and answers last
        let stale = format!("__Host-sid={}", "A".repeat(22) + "." + &"A".repeat(43));
        for verb in ["read", "rotate"] {
            let path = format!("/slow/{verb}");
            let held = browser.send(&path, Some(&stale));
            let answer = gate.while_held(held, async || drop(browser.visit("/show").await)).await;
            assert_eq!(answer.set_cookie(), None, "{verb}");
        }
        assert_eq!(browser.token().unwrap(), fresh);
        assert_eq!(browser.visit("/show").await.body, "\"the next one\" 0");
    })
    .await;
}
