//! The store failing is not the visitor being anonymous.

use axum::http::header::{RETRY_AFTER, VARY};
use cloakroom::{Config, Error, Field, Session, Sessions};

use super::framework::{Passed, Passing, Path, Router, Stopped, around, get};
use crate::support::{Answer, Browser, Capture, Fault, Place, on_each_store};

const NAME: Field<String> = Field::new("name");
const COUNT: Field<i64> = Field::new("count");

fn app(sessions: &Sessions) -> Router {
    let both = async |session: Session| {
        session.rotate().await?;
        session.set(NAME, "newer")
    };
    let whatever_happens = async |session: Result<Session, Error>| match session {
        Ok(session) => format!("session {}", session.exists()),
        Err(error) => format!("no session, store: {}", error.is_store()),
    };
    Router::new()
        .route("/read", get(async |session: Session| session.get(NAME).map(Option::unwrap_or_default)))
        .route("/write", get(async |session: Session| session.set(NAME, "andrew").map(|()| "written")))
        .route("/increment", get(async |session: Session| session.increment(COUNT, 1).await.map(|n| n.to_string())))
        .route("/count", get(async |session: Session| session.get(COUNT).map(|n| n.unwrap_or(0).to_string())))
        .route("/rotate", get(async |session: Session| session.rotate().await))
        .route("/rotate_and_write", get(both))
        .route("/sign_out", get(async |session: Session| session.sign_out().await))
        .route("/go_on", get(whatever_happens))
        .layer(sessions.layer())
}

fn is_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503);
    assert_eq!(answer.all(RETRY_AFTER), ["1"]);
    assert_eq!(answer.all(VARY), ["Cookie"]);
    assert_eq!(answer.body, "Sessions are not available at the moment. Please try again.");
}

#[tokio::test]
async fn a_session_that_cannot_be_read_is_a_503_and_not_a_stranger() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        let token = browser.token();
        place.store.fault("load", Fault::Away);
        for path in ["/read", "/write", "/increment", "/rotate", "/sign_out"] {
            let answer = browser.get(path).await;
            is_unavailable(&answer);
            assert_eq!(answer.set_cookie(), None);
        }
        place.store.heal();
        assert_eq!(browser.token(), token);
        assert_eq!(browser.visit("/read").await.body, "andrew");
    })
    .await;
}

#[tokio::test]
async fn a_commit_that_fails_is_a_503_and_not_the_handlers_success() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        place.store.fault("create", Fault::Away);
        let answer = browser.get("/write").await;
        is_unavailable(&answer);
        assert_eq!(answer.set_cookie(), None, "no cookie for a session that is not stored");
        place.store.heal();

        browser.visit("/write").await;
        place.store.fault("apply", Fault::Away);
        is_unavailable(&browser.get("/write").await);
        is_unavailable(&browser.get("/increment").await);
        is_unavailable(&browser.get("/rotate").await);
        place.store.heal();
        assert_eq!(browser.visit("/read").await.body, "andrew");
    })
    .await;
}

#[tokio::test]
async fn a_token_minted_at_once_reaches_the_browser_also_on_the_503_of_a_failed_commit() {
    let place = Place::memory();
    let sessions = place.sessions();
    let store = place.store.clone();
    let rotate_then_lose_the_store = async move |session: Session| {
        session.set(NAME, "newer")?;
        session.rotate().await?;
        store.fault("apply", Fault::Away);
        Ok::<_, Error>("rotated")
    };
    let browser =
        Browser::new(app(&sessions).route("/then_lose", get(rotate_then_lose_the_store)).layer(sessions.layer()));
    browser.visit("/write").await;
    let before = browser.token();
    let answer = browser.get("/then_lose").await;
    is_unavailable(&answer);
    assert!(answer.set_cookie().is_some());
    assert_ne!(browser.token(), before);
    place.store.heal();
    assert_eq!(browser.visit("/read").await.body, "andrew");
}

#[tokio::test]
async fn a_touch_that_fails_costs_the_visitor_nothing() {
    on_each_store(async |place| {
        let capture = Capture::default();
        let _capturing = tracing::subscriber::set_default(capture.subscriber());
        let eager = Config::builder().touch_interval(std::time::Duration::ZERO);
        let browser = Browser::new(app(&place.sessions_with(eager)));
        browser.visit("/write").await;
        place.store.fault("apply", Fault::Away);
        assert_eq!(browser.visit("/read").await.body, "andrew");
        assert_eq!(capture.count("the session was not extended"), 1, "{}", capture.text());
        place.store.fault("apply", Fault::AnswerLost);
        assert_eq!(browser.visit("/read").await.body, "andrew");
    })
    .await;
}

#[tokio::test]
async fn a_sign_out_that_could_not_be_done_is_a_503_and_leaves_the_cookie() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        place.store.fault("revoke", Fault::Away);
        let answer = browser.get("/sign_out").await;
        is_unavailable(&answer);
        assert_eq!(answer.set_cookie(), None);
        assert_eq!(browser.visit("/read").await.body, "andrew", "the session lives on, and nobody was told otherwise");
    })
    .await;
}

#[tokio::test]
async fn an_increment_whose_answer_was_lost_is_not_repeated() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/increment").await;
        place.store.fault("apply", Fault::AnswerLost);
        place.store.asked();
        is_unavailable(&browser.get("/increment").await);
        assert_eq!(place.store.asked(), ["load", "apply"]);
        place.store.heal();
        assert_eq!(browser.visit("/count").await.body, "2");
    })
    .await;
}

#[tokio::test]
async fn a_creation_or_rotation_whose_answer_was_lost_is_asked_again_and_succeeds() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let store = place.store.clone();
        // the store comes back after the verb has failed; the commit settles what was on its way
        let lost = async move |session: Session, path: Path<String>| {
            store.fault_everywhere(Fault::AnswerLost);
            let error = match path.as_str() {
                "increment" => session.increment(COUNT, 1).await.unwrap_err(),
                _ => session.rotate().await.unwrap_err(),
            };
            assert!(error.is_unknown());
            store.heal();
        };
        let browser = Browser::new(app(&sessions).route("/lost/{verb}", get(lost)).layer(sessions.layer()));
        assert!(browser.visit("/lost/increment").await.set_cookie().is_some());
        assert_eq!(browser.visit("/count").await.body, "1");
        let before = browser.token();
        assert!(browser.visit("/lost/rotate").await.set_cookie().is_some());
        assert_ne!(browser.token(), before);
        assert_eq!(browser.visit("/count").await.body, "1");
    })
    .await;
}

#[tokio::test]
async fn a_route_that_takes_the_error_goes_on_without_a_session() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        assert_eq!(browser.visit("/go_on").await.body, "session true");
        place.store.fault("load", Fault::Away);
        let answer = browser.visit("/go_on").await;
        assert_eq!(answer.body, "no session, store: true");
        assert_eq!(answer.all(VARY), ["Cookie"], "a cache must not show it to the others");
        assert_eq!(answer.set_cookie(), None);
    })
    .await;
}

#[tokio::test]
async fn nobody_waits_longer_than_the_store_time_out() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        let impatient = Browser::at(&browser, app(&place.impatient_sessions()));
        for (verb, path) in [("load", "/read"), ("apply", "/write"), ("revoke", "/sign_out")] {
            place.store.fault(verb, Fault::Hangs);
            is_unavailable(&impatient.get(path).await);
            place.store.heal();
        }
        assert_eq!(browser.visit("/read").await.body, "andrew");
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_is_gone_is_a_503_and_works_again_when_it_is_back() {
    let place = Place::redis().await;
    let app = app(&place.sessions());
    let browser = Browser::new(app);
    browser.visit("/write").await;
    let mut client = place.server().client();
    redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes").exec(&mut client).unwrap();
    // the connection is re-made in the background: until then every answer is an honest 503
    loop {
        let answer = browser.get("/read").await;
        if answer.status == 200 {
            assert_eq!(answer.body, "andrew");
            break;
        }
        is_unavailable(&answer);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_layer_further_out_can_render_the_error() {
    async fn page(request: Passing) -> Result<Passed, Stopped> {
        let passed = request.go_on().await?;
        Ok(match passed.error() {
            Some(error) => passed.replace(format!("sorry: {error}")),
            None => passed,
        })
    }
    let place = Place::memory();
    let browser = Browser::new(around(app(&place.sessions()), page));
    browser.visit("/write").await;
    for verb in ["load", "apply"] {
        place.store.fault(verb, Fault::Away);
        assert_eq!(browser.get("/write").await.body, "sorry: session store: the test's store is away");
        place.store.heal();
    }
}

#[tokio::test]
async fn a_redis_that_refuses_a_command_is_a_503_and_not_a_stranger_or_a_session_that_is_gone() {
    for refused in ["-hgetall", "-pttl", "-evalsha", "-hset", "-pexpireat", "-del"] {
        let place = Place::redis().await;
        let eager = Config::builder().touch_interval(std::time::Duration::ZERO);
        let browser = Browser::new(app(&place.sessions_with(eager)));
        browser.visit("/write").await;
        let acl = |rule: &str| {
            redis::cmd("ACL").arg("SETUSER").arg("default").arg(rule).exec(&mut place.server().client()).unwrap();
        };
        acl(refused);
        for path in ["/read", "/write", "/increment", "/sign_out"] {
            let answer = browser.get(path).await;
            // only some of it may work; what does not is nobody's fault but the store's
            assert!(answer.status == 200 || answer.status == 503, "{refused}: {path}: {}", answer.status);
            match path {
                "/read" if answer.status == 200 => assert_eq!(answer.body, "andrew", "{refused}"),
                "/sign_out" => assert_eq!(answer.status == 200, answer.set_cookie().is_some(), "{refused}"),
                _ => assert_eq!(answer.set_cookie(), None, "{refused}: {path}"),
            }
        }
        acl("+@all");
    }
}
