//! The token for forms: what only a page of this session can know.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, Request, StatusCode, header};
use cloakroom::{CSRF_HEADER, Config, Csrf, Error, Field, Session, Sessions, TokenFormat};

use super::framework::{Headers, Path, Query, Router, get, post as posted};
use crate::support::{Answer, Browser, Fault, Place, on_each_store};

const NAME: Field<String> = Field::new("name");
const HOUR: Duration = Duration::from_secs(3600);

/// `/form` is a page with a form; `/post?token=` is where it goes, as far as these tests care.
fn app(sessions: &Sessions) -> Router {
    let post = async |session: Session, Query(form): Query<Vec<(String, String)>>| {
        let shown = form.iter().find(|(name, _)| name == "token").map(|(_, token)| token.as_str());
        session.check_csrf(shown.unwrap_or_default())?;
        Ok::<_, Error>("accepted")
    };
    let by_script = async |session: Session, Headers(headers): Headers| {
        session.check_csrf_header(&headers)?;
        Ok::<_, Error>("accepted")
    };
    let write_and_show = async |session: Session| {
        session.set(NAME, "andrew")?;
        Ok::<_, Error>(session.csrf_token())
    };
    let count_and_show = async |session: Session| {
        let ahead = {
            session.set(NAME, "andrew")?;
            session.csrf_token()
        };
        session.increment(Field::new("n"), 1).await?;
        assert_eq!(session.csrf_token(), ahead, "the session that was made is the one that was promised");
        Ok::<_, Error>(ahead)
    };
    let changed_its_mind = async |session: Session| {
        session.set(NAME, "andrew")?;
        session.csrf_token();
        session.remove(NAME)?;
        Ok::<_, Error>(session.csrf_token())
    };
    Router::new()
        .route("/write", get(async |session: Session| session.set(NAME, "andrew")))
        .route("/form", get(async |session: Session| session.csrf_token()))
        .route("/post", get(post))
        .route("/by_script", get(by_script))
        .route("/write_and_show", get(write_and_show))
        .route("/count_and_show", get(count_and_show))
        .route("/changed_its_mind", get(changed_its_mind))
        .route("/rotate", get(async |session: Session| session.rotate().await))
        .route("/elevate", get(async |session: Session| session.elevate().await))
        .route("/sign_in/{user}", get(async |session: Session, user: Path<String>| session.sign_in(user.0).await))
        .route("/sign_out", get(async |session: Session| session.sign_out().await))
        .layer(sessions.layer())
}

async fn post(browser: &Browser, token: &str) -> Answer {
    browser.get(&format!("/post?token={token}")).await
}

async fn accepts(browser: &Browser, token: &str) -> bool {
    let answer = post(browser, token).await;
    if answer.status == 200 {
        return true;
    }
    assert_eq!(answer.status, 403);
    assert!(answer.error.unwrap().is_cross_site());
    false
}

#[tokio::test]
async fn a_form_with_the_sessions_token_is_accepted_and_any_other_refused() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        let token = browser.visit("/form").await.body;
        assert_eq!(browser.visit("/form").await.body, token, "the same in every tab");
        assert!(token.len() == 43 && accepts(&browser, &token).await);

        let other = browser.stranger();
        other.visit("/write").await;
        let others = other.visit("/form").await.body;
        let secret = browser.token().unwrap();
        for wrong in [
            "",
            &token[..42],
            &token[1..],
            &format!("{token}x"),
            &format!("%20{token}"),
            &token.to_lowercase(),
            others.as_str(),
            secret.split('.').next().unwrap(),
            secret.split('.').nth(1).unwrap(),
            &"A".repeat(10_000),
        ] {
            assert!(!accepts(&browser, wrong).await, "{wrong}");
        }
        assert_eq!(browser.get("/post").await.status, 403, "missing");
    })
    .await;
}

#[tokio::test]
async fn a_script_sends_it_in_a_header() {
    let place = Place::memory();
    let browser = Browser::new(app(&place.sessions()));
    browser.visit("/write").await;
    let token = browser.visit("/form").await.body;
    assert_eq!(CSRF_HEADER, HeaderName::from_static("x-csrf-token"));
    assert_eq!(browser.saying(CSRF_HEADER, &token).visit("/by_script").await.body, "accepted");
    for wrong in ["", &token[..42], "\u{e4}"] {
        assert_eq!(browser.saying(CSRF_HEADER, wrong).get("/by_script").await.status, 403);
    }
    assert_eq!(browser.get("/by_script").await.status, 403);
}

#[tokio::test]
async fn the_token_tells_nothing_of_the_secret_or_its_hash() {
    let place = Place::redis().await;
    let browser = Browser::new(app(&place.sessions()));
    browser.visit("/write").await;
    let token = browser.visit("/form").await.body;
    let cookie = browser.token().unwrap();
    let key = format!("session:{}", cookie.split('.').next().unwrap());
    let stored: Vec<String> = redis::cmd("HGETALL").arg(&key).query(&mut place.server().client()).unwrap();
    assert!(!stored.contains(&token) && !cookie.contains(&token), "it is derived, and stored nowhere");
}

#[tokio::test]
async fn a_token_from_before_the_sign_in_or_the_elevation_is_refused_after_it() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        for path in ["/sign_in/anna", "/elevate", "/sign_in/anna", "/sign_in/bert"] {
            let before = browser.visit("/form").await.body;
            assert!(accepts(&browser, &before).await);
            browser.visit(path).await;
            assert!(!accepts(&browser, &before).await, "{path}");
            let after = browser.visit("/form").await.body;
            assert!(after != before && accepts(&browser, &after).await);
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_that_is_made_while_a_new_secret_is_on_its_way_has_the_token_of_that_secret() {
    on_each_store(async |place| {
        let (sessions, store) = (place.sessions(), place.store.clone());
        let answer_lost = async move |session: Session| {
            store.fault("apply", Fault::AnswerLost);
            assert!(session.elevate().await.unwrap_err().is_unknown());
            store.heal();
            session.csrf_token()
        };
        let app = app(&sessions).route("/answer_lost", get(answer_lost)).layer(sessions.layer());
        let browser = Browser::new(app);
        browser.visit("/write").await;
        let token = browser.visit("/answer_lost").await.body;
        assert!(accepts(&browser, &token).await);
    })
    .await;
}

#[tokio::test]
async fn a_handle_that_is_kept_after_a_failed_response_has_the_token_of_the_secret_that_the_browser_has() {
    let place = Place::memory();
    let sessions = place.sessions_with(Config::builder().rotate_every(Duration::from_secs(60)));
    let (keep, mut kept) = tokio::sync::mpsc::unbounded_channel();
    let fails = async move |session: Session| {
        keep.send(session).unwrap();
        StatusCode::INTERNAL_SERVER_ERROR
    };
    let browser = Browser::new(app(&sessions).route("/fails", get(fails)).layer(sessions.layer()));
    browser.visit("/write").await;
    place.clock.advance(Duration::from_secs(61));
    assert_eq!(browser.get("/fails").await.status, 500);
    let token = kept.recv().await.unwrap().csrf_token();
    assert!(accepts(&browser, &token).await);
}

#[tokio::test]
async fn after_a_rotation_the_token_of_the_held_secret_is_good_within_the_grace() {
    let place = Place::memory();
    let browser = Browser::new(app(&place.sessions()));
    browser.visit("/write").await;
    let before = browser.visit("/form").await.body;
    let held = browser.stranger();
    held.carry("__Host-sid", &browser.token().unwrap());
    browser.visit("/rotate").await;
    let after = browser.visit("/form").await.body;
    assert_ne!(before, after);
    for browser in [&browser, &held] {
        assert!(accepts(browser, &before).await && accepts(browser, &after).await);
        assert_eq!(browser.visit("/form").await.body, after, "a page gets the one that lasts");
    }
    place.clock.advance(Duration::from_secs(9));
    assert!(accepts(&browser, &before).await);
    place.clock.advance(Duration::from_secs(2));
    assert!(!accepts(&browser, &before).await && accepts(&browser, &after).await);
}

#[tokio::test]
async fn a_page_that_is_made_while_a_rotation_is_due_has_the_token_of_the_new_secret() {
    let place = Place::memory();
    let browser = Browser::new(app(&place.sessions_with(Config::builder().rotate_every(HOUR).idle_timeout(2 * HOUR))));
    browser.visit("/write").await;
    place.clock.advance(HOUR);
    let form = browser.visit("/form").await;
    assert!(form.set_cookie().is_some(), "it was rotated");
    browser.visit("/write").await; // the browser has the new secret: the grace of the old one runs
    place.clock.advance(Duration::from_secs(601));
    assert!(accepts(&browser, &form.body).await, "it outlives the grace of the old secret");
}

#[tokio::test]
async fn two_forms_on_the_page_that_begins_a_session_have_one_token() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let page = async |session: Session| {
            session.begin()?;
            Ok::<_, Error>(format!("{} {}", session.csrf_token(), session.csrf_token()))
        };
        let browser = Browser::new(app(&sessions).route("/page", get(page)).layer(sessions.layer()));
        let body = browser.visit("/page").await.body;
        let (one, other) = body.split_once(' ').unwrap();
        assert!(!one.is_empty() && one == other, "{body}");
        assert!(accepts(&browser, one).await);
    })
    .await;
}

#[tokio::test]
async fn a_visitor_without_a_session_gets_no_token_and_no_session_for_it_and_passes() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        for path in ["/form", "/changed_its_mind"] {
            let answer = browser.visit(path).await;
            assert_eq!((answer.body.as_str(), answer.set_cookie()), ("", None), "{path}");
        }
        assert!(accepts(&browser, "").await && accepts(&browser, "anything").await);
        assert_eq!(browser.token(), None);
        assert!(place.store.asked().is_empty());

        browser.visit("/write").await;
        let token = browser.visit("/form").await.body;
        browser.visit("/sign_out").await;
        assert!(accepts(&browser, &token).await, "again a visitor without a session");
    })
    .await;
}

/// A shop: its pages have forms, and what is posted is taken as `check_csrf` or `require_csrf` say.
fn shop(sessions: &Sessions) -> Router {
    let begun = async |session: Session| {
        session.begin()?;
        Ok::<_, Error>(session.csrf_token())
    };
    let buy = async |session: Session, token: String| {
        session.check_csrf(&token)?;
        session.increment(Field::new("bought"), 1).await.map(|bought| bought.to_string())
    };
    let pay = async |session: Session, token: String| {
        session.require_csrf(&token)?;
        session.increment(Field::new("paid"), 1).await.map(|paid| paid.to_string())
    };
    let by_script = async |session: Session, Headers(headers): Headers| session.require_csrf_header(&headers);
    Router::new()
        .route("/page", get(async |session: Session| session.csrf_token()))
        .route("/begun", get(begun))
        .route("/write", get(async |session: Session| session.set(NAME, "andrew")))
        .route("/fields", get(async |session: Session| session.fields().join(" ")))
        .route("/buy", posted(buy))
        .route("/pay", posted(pay))
        .route("/by_script", posted(by_script))
        .layer(sessions.layer())
}

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Sends a form with these headers, and keeps the cookie that the answer sets.
async fn submit(browser: &Browser, path: &str, headers: &[(HeaderName, &str)], token: &str) -> Answer {
    let mut request = Request::post(path).header(header::HOST, "shop.example");
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    if let Some(cookie) = browser.token() {
        request = request.header(header::COOKIE, format!("__Host-sid={cookie}"));
    }
    let answer = browser.ask(request.body(Body::from(token.to_owned())).unwrap()).await;
    if let Some(cookie) = answer.set_cookie() {
        browser.carry("__Host-sid", cookie.split(['=', ';']).nth(1).unwrap());
    }
    answer
}

#[tokio::test]
async fn the_second_tab_of_a_visitor_without_a_session_posts_its_form_after_the_first() {
    let own: [&[(HeaderName, &str)]; 3] = [
        &[(SITE, "same-origin")],
        &[(header::ORIGIN, "https://shop.example")],
        &[(SITE, "same-origin"), (header::ORIGIN, "https://trusted.example")],
    ];
    on_each_store(async |place| {
        for headers in own {
            let sessions = place.sessions_with(Config::builder().trust_origin("https://trusted.example"));
            let browser = Browser::new(shop(&sessions));
            let (first, second) = (browser.visit("/page").await.body, browser.visit("/page").await.body);
            assert_eq!((first.as_str(), second.as_str()), ("", ""));
            assert_eq!(submit(&browser, "/buy", headers, &first).await.body, "1");
            assert!(browser.token().is_some(), "now there is a session");
            assert_eq!(submit(&browser, "/buy", headers, &second).await.body, "2", "{headers:?}");
            let token = browser.visit("/page").await.body;
            assert_eq!(submit(&browser, "/buy", headers, &token).await.body, "3");
            for wrong in [&token[1..], "x", " "] {
                assert_eq!(submit(&browser, "/buy", headers, wrong).await.status, 403, "{wrong:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_empty_token_is_refused_where_nothing_says_that_this_site_sent_it() {
    let others: [&[(HeaderName, &str)]; 7] = [
        &[],
        &[(SITE, "none")],
        &[(SITE, "cross-site")],
        &[(SITE, "same-site")],
        &[(header::ORIGIN, "https://attacker.example")],
        &[(header::ORIGIN, "https://trusted.example")],
        &[(SITE, "cross-site"), (header::ORIGIN, "https://trusted.example")],
    ];
    on_each_store(async |place| {
        let trusting = || Config::builder().trust_origin("https://trusted.example");
        for config in [trusting(), trusting().csrf(Csrf::Off)] {
            let browser = Browser::new(shop(&place.sessions_with(config)));
            browser.visit("/write").await;
            for headers in others {
                assert_eq!(submit(&browser, "/buy", headers, "").await.status, 403, "{headers:?}");
            }
            assert_eq!(browser.visit("/fields").await.body, "name");
        }
    })
    .await;
}

#[tokio::test]
async fn a_form_that_requires_a_token_begins_a_session_and_takes_nothing_else() {
    on_each_store(async |place| {
        let own = [(SITE, "same-origin")];
        let browser = Browser::new(shop(&place.sessions()));
        assert_eq!(submit(&browser, "/pay", &own, "").await.status, 403, "no session, no token");
        assert_eq!(submit(&browser, "/pay", &own, "anything").await.status, 403);
        assert!(place.store.asked().is_empty());

        let token = browser.visit("/begun").await.body;
        assert_eq!(token.len(), 43);
        assert_eq!(place.store.asked(), ["create"]);
        assert_eq!(browser.visit("/fields").await.body, "", "a session without a field");
        let cookie = browser.token();
        assert_eq!(browser.visit("/begun").await.body, token, "the second tab has the same session");
        assert_eq!(browser.token(), cookie);
        for wrong in ["", "x", &token[1..]] {
            assert_eq!(submit(&browser, "/pay", &own, wrong).await.status, 403, "{wrong:?}");
        }
        assert_eq!(submit(&browser, "/pay", &own, &token).await.body, "1");
        assert_eq!(submit(&browser, "/by_script", &own, "").await.status, 403);
        let by_script = [(SITE, "same-origin"), (CSRF_HEADER, token.as_str())];
        assert_eq!(submit(&browser, "/by_script", &by_script, "").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_token_minted_ahead_in_the_request_that_makes_the_session_is_good_in_the_next() {
    on_each_store(async |place| {
        for path in ["/write_and_show", "/count_and_show"] {
            let browser = Browser::new(app(&place.sessions()));
            let token = browser.visit(path).await.body;
            assert_eq!(token.len(), 43);
            assert_eq!(browser.visit("/form").await.body, token);
            assert!(accepts(&browser, &token).await && !accepts(&browser, "").await, "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn with_plain_tokens_there_is_no_form_token_and_a_check_is_a_configuration_error() {
    let place = Place::memory();
    let browser = Browser::new(app(&place.sessions_with(Config::builder().token_format(TokenFormat::Plain))));
    assert_eq!(browser.visit("/write_and_show").await.body, "");
    assert_eq!(browser.visit("/form").await.body, "");
    for path in ["/post?token=x", "/by_script"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 500);
        assert!(answer.error.unwrap().is_config());
    }
}
