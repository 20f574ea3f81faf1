//! What the browser and the caches are told.

use axum::http::header::{CACHE_CONTROL, HeaderName, VARY};
use cloakroom::{Config, ConfigBuilder, Field, SameSite, Session, Sessions, TokenFormat};

use super::framework::{IntoResponse, Path, Router, get};
use crate::support::{Browser, Capture, Place, on_each_store};

const NAME: Field<String> = Field::new("name");
const CACHED: ([(HeaderName, &str); 1], &str) = ([(CACHE_CONTROL, "public, max-age=60")], "");

fn app(sessions: &Sessions) -> Router {
    Router::new()
        .route("/read", get(async |session: Session| session.get(NAME).map(drop)))
        .route("/write", get(async |session: Session| session.set(NAME, "andrew")))
        .route("/rotate", get(async |session: Session| session.rotate().await))
        .route("/sign_out", get(async |session: Session| session.sign_out().await))
        .route("/cached_read", get(async |_: Session| CACHED))
        .route("/cached_write", get(async |session: Session| session.set(NAME, "x").map(|()| CACHED)))
        .route("/cached_sign_out", get(async |session: Session| session.sign_out().await.map(|()| CACHED)))
        .route("/vary/{value}", get(vary))
        .route(
            "/many",
            get(async |session: Session| {
                session.increment(Field::new("n"), 1).await?;
                session.rotate().await?;
                session.set(NAME, "andrew")?;
                session.rotate().await
            }),
        )
        .route(
            "/sign_out_and_set",
            get(async |session: Session| {
                session.set(NAME, "of the old one")?;
                session.sign_out().await?;
                session.set(NAME, "of the new one")
            }),
        )
        .layer(sessions.layer())
}

async fn vary(_: Session, Path(value): Path<String>) -> impl IntoResponse {
    ([(VARY, value)], "")
}

/// The Set-Cookie of a first write, with `TOKEN` in the token's place.
async fn first_cookie(config: ConfigBuilder) -> String {
    let browser = Browser::new(app(&Place::memory().sessions_with(config)));
    let cookie = browser.visit("/write").await.set_cookie().unwrap();
    let (name, rest) = cookie.split_once('=').unwrap();
    cookie.replace(&browser.cookie(name).unwrap(), if rest.contains('.') { "TOKEN" } else { "PLAIN" })
}

#[tokio::test]
async fn the_default_cookie_is_locked_to_this_host_and_hidden_from_scripts() {
    assert_eq!(first_cookie(Config::builder()).await, "__Host-sid=TOKEN; HttpOnly; SameSite=Lax; Secure; Path=/");
}

#[tokio::test]
async fn the_development_switch_gives_sid_without_secure() {
    let capture = Capture::default();
    let _capturing = tracing::subscriber::set_default(capture.subscriber());
    first_cookie(Config::builder()).await;
    assert_eq!(capture.count("is not Secure"), 0);
    let cookie = first_cookie(Config::builder().plain_http_for_development()).await;
    assert!(capture.count("the session cookie is not Secure: for development over plain http only") > 0);
    assert_eq!(cookie, "sid=TOKEN; HttpOnly; SameSite=Lax; Path=/");
}

#[tokio::test]
async fn every_cookie_setting_reaches_the_browser() {
    let config = Config::builder()
        .cookie_name("__Secure-id")
        .same_site(SameSite::Strict)
        .cookie_path("/app")
        .cookie_domain("example.com")
        .cookie_max_age(std::time::Duration::from_secs(3600));
    let expected = "__Secure-id=TOKEN; HttpOnly; SameSite=Strict; Secure; Path=/app; Domain=example.com; Max-Age=3600";
    assert_eq!(first_cookie(config).await, expected);

    let framed = Config::builder().cookie_name("__Host-Http-id").same_site(SameSite::None).cookie_partitioned();
    let expected = "__Host-Http-id=TOKEN; HttpOnly; SameSite=None; Partitioned; Secure; Path=/";
    assert_eq!(first_cookie(framed).await, expected);

    let plain = first_cookie(Config::builder().token_format(TokenFormat::Plain).same_site(SameSite::None)).await;
    assert_eq!(plain, "__Host-sid=PLAIN; HttpOnly; SameSite=None; Secure; Path=/");
}

#[tokio::test]
async fn the_token_is_an_id_and_a_secret_and_with_plain_tokens_the_id_alone() {
    for (format, lengths) in [(TokenFormat::Secret, vec![22, 43]), (TokenFormat::Plain, vec![43])] {
        let browser = Browser::new(app(&Place::memory().sessions_with(Config::builder().token_format(format))));
        browser.visit("/write").await;
        let token = browser.token().unwrap();
        assert_eq!(token.split('.').map(str::len).collect::<Vec<_>>(), lengths);
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
    }
}

#[tokio::test]
async fn a_removal_repeats_the_attributes_or_browsers_would_ignore_it() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        let removal = browser.visit("/sign_out").await.set_cookie().unwrap();
        assert_eq!(removal, "__Host-sid=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0");
        assert_eq!(browser.token(), None);
    })
    .await;

    let config = Config::builder()
        .cookie_name("id")
        .cookie_path("/app")
        .cookie_domain("example.com")
        .cookie_max_age(std::time::Duration::from_secs(3600));
    let browser = Browser::new(app(&Place::memory().sessions_with(config)));
    browser.visit("/write").await;
    let removal = browser.visit("/sign_out").await.set_cookie().unwrap();
    assert_eq!(removal, "id=; HttpOnly; SameSite=Lax; Secure; Path=/app; Domain=example.com; Max-Age=0");

    let config = Config::builder().same_site(SameSite::None).cookie_partitioned();
    let browser = Browser::new(app(&Place::memory().sessions_with(config)));
    browser.visit("/write").await;
    let removal = browser.visit("/sign_out").await.set_cookie().unwrap();
    assert_eq!(removal, "__Host-sid=; HttpOnly; SameSite=None; Partitioned; Secure; Path=/; Max-Age=0");
}

#[tokio::test]
async fn a_response_has_at_most_one_set_cookie_and_it_is_the_last_token_minted() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        assert_eq!(browser.visit("/many").await.set_cookies().len(), 1);
        assert_eq!(browser.visit("/many").await.set_cookies().len(), 1);
        browser.visit("/read").await;
        let n = Browser::at(&browser, reader(&place.sessions())).visit("/").await.body;
        assert_eq!(n, "2");
    })
    .await;
}

fn reader(sessions: &Sessions) -> Router {
    let read = async |session: Session| session.get::<i64>(Field::new("n")).map(|n| n.unwrap_or(0).to_string());
    Router::new().route("/", get(read)).layer(sessions.layer())
}

#[tokio::test]
async fn a_value_that_is_set_after_a_sign_out_belongs_to_a_new_session_with_one_cookie() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        let old = browser.token().unwrap();
        let answer = browser.visit("/sign_out_and_set").await;

        assert_eq!(answer.set_cookies().len(), 1);
        let new = browser.token().expect("the one Set-Cookie is the new session's, not the removal");
        assert_ne!(old.split_once('.').unwrap().0, new.split_once('.').unwrap().0, "a fresh session has a fresh id");
        place.store.asked();
        assert_eq!(browser.send("/sign_out", Some(&format!("__Host-sid={old}"))).await.status, 200, "it has ended");
    })
    .await;
}

#[tokio::test]
async fn a_stale_or_unknown_cookie_is_removed_by_a_sign_out_alone() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        let token = browser.token().unwrap();
        browser.visit("/sign_out").await;
        for (path, removed) in [("/read", false), ("/rotate", false), ("/sign_out", true)] {
            let answer = browser.send(path, Some(&format!("__Host-sid={token}"))).await;
            assert_eq!(answer.set_cookie().is_some(), removed, "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_unknown_token_is_not_adopted_but_replaced_when_something_is_written() {
    on_each_store(async |place| {
        let planted = format!("{}.{}", "A".repeat(22), "A".repeat(43));
        let browser = Browser::new(app(&place.sessions()));
        browser.carry("__Host-sid", &planted);
        browser.visit("/write").await;
        let minted = browser.token().unwrap();
        assert!(!minted.starts_with("AAAAAAAAAAAAAAAAAAAAAA"), "{minted}");
    })
    .await;
}

#[tokio::test]
async fn every_response_that_read_the_session_varies_by_cookie() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        for path in ["/read", "/write", "/read", "/rotate", "/sign_out"] {
            assert_eq!(browser.visit(path).await.all(VARY), ["Cookie"], "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn vary_joins_what_the_application_has_set() {
    let browser = Browser::new(app(&Place::memory().sessions()));
    assert_eq!(browser.visit("/vary/Accept").await.all(VARY), ["Accept", "Cookie"]);
    assert_eq!(browser.visit("/vary/*").await.all(VARY), ["*"]);
    assert_eq!(browser.visit("/vary/cookie").await.all(VARY), ["cookie"]);
    assert_eq!(browser.visit("/vary/Accept,%20Cookie").await.all(VARY), ["Accept, Cookie"]);
}

#[tokio::test]
async fn no_cache_keeps_a_response_that_sets_or_removes_the_cookie_whatever_the_application_says() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        assert_eq!(browser.visit("/cached_read").await.all(CACHE_CONTROL), ["public, max-age=60"]);
        assert_eq!(browser.visit("/cached_write").await.all(CACHE_CONTROL), ["no-store"]);
        // the second write mints nothing: what caches may do is the application's business
        assert_eq!(browser.visit("/cached_write").await.all(CACHE_CONTROL), ["public, max-age=60"]);
        assert_eq!(browser.visit("/cached_sign_out").await.all(CACHE_CONTROL), ["no-store"]);
        assert_eq!(browser.visit("/write").await.all(CACHE_CONTROL), ["no-store"]);
    })
    .await;
}

#[tokio::test]
async fn a_header_debug_shows_no_token() {
    let browser = Browser::new(app(&Place::memory().sessions()));
    let answer = browser.visit("/write").await;
    let secret = browser.token().unwrap();
    assert!(!format!("{:?}", answer.headers).contains(&secret));
}
