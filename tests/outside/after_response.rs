//! What a handler does with its session after the head of its response has left.

use std::time::Duration;

use cloakroom::Config;

use crate::support::{Browser, Fault, Place};
use crate::{COUNT, Held, NAME, app, on_every_store};

#[tokio::test]
async fn a_stream_reads_counts_updates_and_touches_after_the_head_has_left() {
    on_every_store(async |world| {
        let visitor = world.visitor();
        visitor.elsewhere.visit("/write").await;
        let live = visitor.stream().await;
        visitor.elsewhere.visit("/count").await;
        assert_eq!(live.get(NAME).unwrap().as_deref(), Some("andrew"));
        assert_eq!(live.get(COUNT).unwrap(), None, "as it was last seen");
        live.refresh().await.unwrap();
        assert_eq!(live.get(COUNT).unwrap(), Some(1));
        assert_eq!(live.clone().increment(COUNT, 1).await.unwrap(), 2);
        live.update(NAME, |name| name.push('!')).await.unwrap();
        live.touch().await.unwrap();
        assert_eq!(visitor.elsewhere.visit("/show").await.body, "\"andrew!\" 2");
    })
    .await;
}

#[tokio::test]
async fn what_was_deferred_is_stored_before_the_stream_begins_and_a_visitor_without_a_session_has_no_stream() {
    on_every_store(async |world| {
        use axum::routing::get;
        use cloakroom::Session;

        let deferred = async |session: Session| {
            session.set(NAME, "deferred")?;
            let live = session.after_response().await?;
            assert_eq!(live.get(NAME)?.as_deref(), Some("deferred"));
            live.increment(COUNT, 1).await.map(drop)
        };
        let routes = app(&world.here, &Held::default());
        let browser =
            Browser::new(axum::Router::new().route("/deferred", get(deferred)).layer(world.here.layer()).merge(routes));
        let nobody = browser.get("/stream").await;
        assert_eq!((nobody.status.as_u16(), nobody.set_cookie()), (401, None));
        assert!(nobody.error.unwrap().is_gone());
        assert!(browser.visit("/deferred").await.set_cookie().is_some());
        assert_eq!(browser.visit("/show").await.body, "\"deferred\" 1");
    })
    .await;
}

#[tokio::test]
async fn a_stream_goes_on_through_rotations_and_ends_at_a_sign_in_and_an_elevation() {
    on_every_store(async |world| {
        for ends in ["/sign_in", "/elevate"] {
            let visitor = world.visitor();
            visitor.elsewhere.visit("/write").await;
            let live = visitor.stream().await;
            for _ in 0..3 {
                visitor.elsewhere.visit("/rotate").await;
                live.increment(COUNT, 1).await.unwrap();
                visitor.elsewhere.visit("/rotate").await;
                assert!(live.is_live().await.unwrap());
            }
            assert_eq!(visitor.elsewhere.visit("/show").await.body, "\"andrew\" 3");

            visitor.elsewhere.visit(ends).await;
            visitor.elsewhere.visit("/rotate").await;
            assert!(live.increment(COUNT, 1).await.unwrap_err().is_gone(), "{ends}");
            assert!(!live.is_live().await.unwrap());
            assert!(live.end().await.unwrap_err().is_gone(), "it is somebody's session, and no more this stream's");
            assert_eq!(live.user(), None);
            assert_eq!(visitor.elsewhere.visit("/show").await.body, "\"andrew\" 3");
            assert!(visitor.stream().await.is_live().await.unwrap(), "the browser opens another one");
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_has_missed_two_rotations_has_ended_because_a_sign_in_may_have_been_between() {
    on_every_store(async |world| {
        let visitor = world.visitor();
        visitor.elsewhere.visit("/write").await;
        let live = visitor.stream().await;
        visitor.elsewhere.visit("/rotate").await;
        visitor.elsewhere.visit("/rotate").await;
        assert!(live.set(NAME, "too late").await.unwrap_err().is_gone());
        assert!(!live.is_live().await.unwrap());
        assert_eq!(visitor.elsewhere.visit("/show").await.body, "\"andrew\" 0");
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_touches_does_not_say_that_the_browser_has_the_new_secret() {
    let place = Place::memory();
    let held = Held::default();
    let browser =
        Browser::new(app(&place.sessions_with(Config::builder().idle_timeout(Duration::from_secs(3600))), &held));
    browser.visit("/write").await;
    browser.visit("/stream").await;
    let live = held.lock().unwrap().take().unwrap();
    let cookies = browser.cookie_header();
    // the response to this never reaches the browser
    assert!(browser.send("/rotate", cookies.as_deref()).await.status.is_success());
    live.touch().await.unwrap();
    live.touch().await.unwrap();
    place.clock.advance(Duration::from_secs(60));
    assert_eq!(browser.visit("/show").await.body, "\"andrew\" 0", "the old secret is still held");
}

#[tokio::test]
async fn a_handle_that_waits_for_the_end_keeps_no_other_method_waiting() {
    let place = Place::redis().await;
    let held = Held::default();
    let browser = Browser::new(app(&place.sessions(), &held));
    browser.visit("/write").await;
    browser.visit("/stream").await;
    let live = held.lock().unwrap().take().unwrap();
    place.store.asked();
    place.store.fault("load", Fault::Hangs);
    let mut ended = std::pin::pin!(live.ended());
    tokio::select! {
        biased;
        ended = &mut ended => panic!("{ended:?}"),
        () = place.store.until_asked("load") => {}
    }
    // as in a `select!` whose other branch was taken: nobody polls the one that waits
    assert_eq!(crate::soon("the increment", live.increment(COUNT, 1)).await.unwrap(), 1);
}

#[tokio::test]
async fn a_session_kept_without_a_handle_says_what_it_needs() {
    use axum::routing::get;
    use cloakroom::Session;
    use std::sync::{Arc, Mutex};

    let place = Place::memory();
    let kept: Arc<Mutex<Option<Session>>> = Arc::default();
    let keep = kept.clone();
    let sessions = place.sessions();
    let leak = async move |session: Session| {
        *keep.lock().unwrap() = Some(session.clone());
        session.set(NAME, "andrew")
    };
    let browser = Browser::new(axum::Router::new().route("/leak", get(leak)).layer(sessions.layer()));
    browser.visit("/leak").await;
    let session = kept.lock().unwrap().take().unwrap();
    for error in [session.rotate().await, session.sign_in("andrew").await, session.set(NAME, "too late")] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("head was already sent") && error.contains("`after_response`"), "{error}");
    }
    let live = session.after_response().await.unwrap();
    live.set(NAME, "in time").await.unwrap();
    assert!(live.end().await.unwrap());
}
