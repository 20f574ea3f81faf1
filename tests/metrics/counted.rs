//! Exactly what happened is counted, in memory and on Redis.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use cloakroom::store::{NearCache, Redis};
use cloakroom::{
    Config, OnLimit, Session, SessionId, Sessions,
    web::{OngoingVisit, Visit},
};

use super::heard::{Heard, NAME, app, told};
use crate::support::{Browser, on_each_store};

#[tokio::test]
async fn a_visitor_without_a_session_is_not_counted() {
    on_each_store(async |place| {
        let heard = Heard::new();
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/nothing").await;
        browser.visit("/read").await;
        browser.send("/read", Some("__Host-sid=malformed")).await;
        assert_eq!(heard.all(), told(&[]));
    })
    .await;
}

#[tokio::test]
async fn reads_changes_rotations_and_sign_ins_are_counted_and_timed() {
    on_each_store(async |place| {
        let heard = Heard::new();
        let browser = Browser::new(app(&place.sessions()));
        for path in ["/write", "/read", "/read", "/write", "/count", "/rotate", "/sign_in/anna", "/sign_out"] {
            browser.visit(path).await;
        }
        let expected = told(&[
            ("created", 1),
            ("commits", 2),
            ("rotations", 1),
            ("sign_ins", 1),
            ("loads{outcome=live}", 7),
            ("revokes{reason=signed_out}", 1),
            ("store_duration_seconds{verb=create}", 1),
            ("store_duration_seconds{verb=load}", 7),
            ("store_duration_seconds{verb=apply}", 4),
            ("store_duration_seconds{verb=revoke}", 1),
        ]);
        assert_eq!(heard.all(), expected);
    })
    .await;
}

#[tokio::test]
async fn a_touch_is_counted_where_nothing_else_was_changed() {
    on_each_store(async |place| {
        let heard = Heard::new();
        let sessions = place.sessions_with(Config::builder().touch_interval(Duration::ZERO));
        let browser = Browser::new(app(&sessions));
        for path in ["/write", "/read", "/read", "/write", "/nothing"] {
            browser.visit(path).await;
        }
        let all = heard.all();
        assert_eq!((all["touches"], all["commits"]), (2, 2));
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_is_counted_by_its_reason() {
    on_each_store(async |place| {
        let heard = Heard::new();
        let sessions = place.sessions_with(Config::builder().max_sessions_per_user(1).on_limit(OnLimit::RefuseNew));
        let browser = Browser::new(app(&sessions));
        browser.visit("/write").await;
        browser.visit("/sign_in/anna").await;
        for (path, status) in [("/forged", 403), ("/large", 413), ("/miscount", 500)] {
            assert_eq!(browser.get(path).await.status, status, "{path}");
        }
        assert_eq!(browser.stranger().get("/sign_in/anna").await.status, 409);
        let foreign = Request::post("/write").header("sec-fetch-site", "cross-site").body(Body::empty()).unwrap();
        assert_eq!(browser.ask(foreign).await.status, 403);
        let (_ongoing, late) = visit(&sessions, &browser).await;
        sessions.revoke(&id_of(&browser)).await.unwrap();
        late.set(NAME, "too late").unwrap();
        assert!(late.commit().await.unwrap_err().is_gone());
        let mut all = heard.all();
        assert_eq!((all["commits"], all["revokes{reason=application}"]), (1, 1), "what was refused is not stored");
        all.retain(|name, _| name.starts_with("refusals"));
        let reasons = ["cross_site", "form", "gone", "invalid", "limit", "too_large"];
        assert_eq!(all, reasons.map(|reason| (format!("refusals{{reason={reason}}}"), 1)).into());
    })
    .await;
}

#[tokio::test]
async fn a_conflict_is_counted_also_where_the_update_is_repeated_and_succeeds() {
    on_each_store(async |place| {
        let heard = Heard::new();
        let sessions = place.sessions();
        let browser = Browser::new(app(&sessions));
        browser.visit("/write").await;
        let [(_one, first), (_other, second)] = [visit(&sessions, &browser).await, visit(&sessions, &browser).await];
        first.update(NAME, |name| name.push('1')).await.unwrap();
        second.update(NAME, |name| name.push('2')).await.unwrap();
        assert_eq!(browser.visit("/read").await.body, "andrew12");
        let all = heard.all();
        assert_eq!((all["conflicts"], all["store_duration_seconds{verb=apply}"]), (1, 3));
        assert_eq!(all["loads{outcome=live}"], 4, "two requests, the repetition, and the last look");
    })
    .await;
}

#[tokio::test]
async fn a_batch_whose_expectation_does_not_hold_is_counted_once() {
    on_each_store(async |place| {
        let heard = Heard::new();
        let sessions = place.sessions();
        let browser = Browser::new(app(&sessions));
        browser.visit("/write").await;
        let [(_one, first), (_other, second)] = [visit(&sessions, &browser).await, visit(&sessions, &browser).await];
        let expects = async |session: &Session, name: &str| session.batch().expect(NAME, name).set(NAME, "ada").await;
        assert!(expects(&first, "somebody").await.is_err());
        assert_eq!(heard.all()["conflicts"], 1, "as this request sees it");
        expects(&first, "andrew").await.unwrap();
        assert!(expects(&second, "andrew").await.is_err());
        assert_eq!(heard.all()["conflicts"], 1, "as the store sees it, since then");
    })
    .await;
}

#[tokio::test]
async fn evictions_replays_and_unknown_tokens_are_told_apart() {
    on_each_store(async |place| {
        let heard = Heard::new();
        let config = Config::builder().max_sessions_per_user(1).rotation_grace(Duration::from_secs(1));
        let browser = Browser::new(app(&place.sessions_with(config)));
        browser.visit("/sign_in/anna").await;
        let elsewhere = browser.stranger();
        elsewhere.visit("/sign_in/anna").await;
        browser.visit("/read").await;
        let old = elsewhere.token().unwrap();
        elsewhere.visit("/rotate").await;
        elsewhere.visit("/read").await;
        match place.is_redis() {
            true => tokio::time::sleep(Duration::from_millis(2100)).await,
            false => place.clock.advance(Duration::from_millis(2100)),
        }
        let made_up = format!("{}.{}", "A".repeat(22), "A".repeat(43));
        for token in [&old, &made_up] {
            browser.send("/read", Some(&format!("__Host-sid={token}"))).await;
        }
        let all = heard.all();
        let loads = ["live", "gone", "evicted", "replayed"].map(|outcome| all[&format!("loads{{outcome={outcome}}}")]);
        assert_eq!(loads, [2, 1, 1, 1]);
        assert_eq!((all["evicted"], all["replays"], all["sign_ins"], all["created"]), (1, 1, 2, 2));
    })
    .await;
}

/// Another request of this browser, still going on.
async fn visit(sessions: &Sessions, browser: &Browser) -> (OngoingVisit, Session) {
    let cookie = HeaderValue::from_str(&format!("__Host-sid={}", browser.token().unwrap())).unwrap();
    let headers = HeaderMap::from_iter([(header::COOKIE, cookie)]);
    let ongoing = Visit::begin(sessions, &Method::GET, &Uri::from_static("/"), &headers).unwrap();
    let session = ongoing.visit().session().await.unwrap();
    (ongoing, session)
}

fn id_of(browser: &Browser) -> SessionId {
    SessionId::parse(browser.token().unwrap().split('.').next().unwrap()).unwrap()
}

#[tokio::test]
async fn the_near_cache_counts_what_it_saves_and_what_leaves_it() {
    let server = crate::support::RedisServer::start();
    let near = NearCache::default().max_sessions(50).silence_limit(Duration::from_secs(30));
    let store = Redis::builder(server.url()).timeout(Duration::from_secs(20)).near_cache(near).connect().await.unwrap();
    let sessions = Sessions::new(store, Config::default());
    let browser = Browser::new(app(&sessions));
    browser.visit("/write").await;
    let heard = Heard::new();
    for path in ["/read", "/read", "/read", "/sign_out"] {
        browser.visit(path).await;
    }
    let all = heard.all();
    assert_eq!((all["near_misses"], all["near_hits"], all["near_invalidations"]), (1, 3, 1));
    assert_eq!(all.get("near_evictions"), None);
    // what was read by a connection that is lost is read again, and replaced
    let browser = browser.stranger();
    browser.visit("/write").await;
    let made_up = format!("__Host-sid={}.{}", "A".repeat(22), "A".repeat(43));
    for _ in 0..5 {
        browser.visit("/read").await;
        let _: i64 = server.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        // a token that opens nothing is asked of the server each time, which finds out
        browser.send("/read", Some(&made_up)).await;
    }
    assert_eq!(heard.all().get("near_evictions"), None, "what was replaced did not leave");
    for _ in 0..200 {
        let browser = browser.stranger();
        browser.visit("/write").await;
        browser.visit("/read").await;
    }
    assert!((150..=200).contains(&heard.all()["near_evictions"]), "50 of 200 are left at most");
}
