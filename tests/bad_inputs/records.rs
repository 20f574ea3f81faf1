//! What another program, another version or a curious hand left in Redis: never a panic, never a 5xx.

use axum::Router;
use axum::routing::get;
use cloakroom::{Config, Error, Field, Session, Sessions, TokenFormat};

use crate::support::{Answer, Browser, Place};

const NAME: Field<String> = Field::new("name");

fn app(sessions: &Sessions) -> Router {
    let read = async |session: Session| {
        Ok::<_, Error>(match session.exists() {
            true => format!("session of {}", session.get(NAME)?.unwrap_or_default()),
            false => "anonymous".to_owned(),
        })
    };
    Router::new()
        .route("/read", get(read))
        .route("/write", get(async |session: Session| session.set(NAME, "andrew")))
        .route("/count", get(async |session: Session| session.increment(Field::new("n"), 1).await.map(drop)))
        .layer(sessions.layer())
}

/// A visitor with a session in Redis.
struct Scene<'a> {
    place: &'a Place,
    browser: Browser,
    key: String,
}

impl Scene<'_> {
    async fn new(place: &Place, format: TokenFormat) -> Scene<'_> {
        let eager = Config::builder().token_format(format).touch_interval(std::time::Duration::ZERO);
        let browser = Browser::new(app(&place.sessions_with(eager)));
        browser.visit("/write").await;
        let token = browser.token().unwrap();
        let key = format!("session:{}", token.split('.').next().unwrap());
        Scene { place, browser, key }
    }

    /// What redis-cli would do; `KEY` stands for the session's key.
    fn redis(&self, command: &[&[u8]]) {
        let mut cmd = redis::Cmd::new();
        for word in command {
            cmd.arg(if *word == b"KEY" { self.key.as_bytes() } else { word });
        }
        cmd.exec(&mut self.place.server().client()).unwrap();
    }

    async fn get(&self, path: &str) -> Answer {
        self.browser.send(path, Some(&format!("__Host-sid={}", self.browser.token().unwrap()))).await
    }

    fn ttl(&self) -> i64 {
        redis::cmd("PTTL").arg(&self.key).query(&mut self.place.server().client()).unwrap()
    }
}

fn words(command: &str) -> Vec<&[u8]> {
    command.split(' ').map(str::as_bytes).collect()
}

#[tokio::test]
async fn what_is_no_session_of_ours_is_anonymous() {
    let place = Place::redis().await;
    for command in [
        "HDEL KEY created_at",
        "HSET KEY created_at yesterday",
        "HSET KEY created_at 99999-99-99T00:00:00Z",
        "HDEL KEY secret_hash",
        "HSET KEY secret_hash short",
        "HSET KEY secret_hash ===========================================",
        "HSET KEY expires_at 1",
        "DEL KEY",
        "RENAME KEY other",
    ] {
        let scene = Scene::new(&place, TokenFormat::Secret).await;
        scene.redis(&words(command));
        let answer = scene.get("/read").await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "anonymous"), "{command}");
        assert_eq!(answer.set_cookie(), None, "{command}");
        // whoever writes gets a session of their own
        for path in ["/write", "/count"] {
            let answer = scene.get(path).await;
            assert!(answer.status == 200 && answer.set_cookie().is_some(), "{command}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_key_of_another_type_is_anonymous() {
    let place = Place::redis().await;
    for format in [TokenFormat::Secret, TokenFormat::Plain] {
        for command in ["SET KEY x EX 100", "RPUSH KEY x", "SADD KEY x", "ZADD KEY 1 x", "XADD KEY * a b"] {
            let scene = Scene::new(&place, format).await;
            scene.redis(&words("DEL KEY"));
            scene.redis(&words(command));
            scene.redis(&words("EXPIRE KEY 100"));
            assert_eq!(scene.get("/read").await.body, "anonymous", "{command}");
            assert!(scene.get("/write").await.set_cookie().is_some(), "{command}");
        }
    }
}

#[tokio::test]
async fn a_broken_reserved_field_costs_at_most_its_own_meaning_and_the_key_keeps_an_expiry() {
    let place = Place::redis().await;
    for format in [TokenFormat::Secret, TokenFormat::Plain] {
        for field in
            ["session_ttl", "last_accessed_at", "expires_at", "rotated_at", "previous_until", "previous_secret_hash"]
        {
            for text in ["", "0", "-1", "1.5", "abc", "1e9", "9999999999", "99999999999999999999", " 5", "٣", "NaN"] {
                // with a readable deadline in the past the session has rightly ended
                if format == TokenFormat::Secret && field == "expires_at" && text == "0" {
                    continue;
                }
                let scene = Scene::new(&place, format).await;
                scene.redis(&[b"HSET", b"KEY", field.as_bytes(), text.as_bytes()]);
                for path in ["/read", "/write", "/count", "/read"] {
                    let answer = scene.get(path).await;
                    assert_eq!(answer.status, 200, "{field} = {text:?}: {path}");
                }
                assert_eq!(scene.get("/read").await.body, "session of andrew", "{field} = {text:?}");
                assert!((1..=43_200_000).contains(&scene.ttl()), "{field} = {text:?}: {}", scene.ttl());
            }
        }
    }
}

#[tokio::test]
async fn a_value_that_is_no_text_costs_nothing_but_itself() {
    let place = Place::redis().await;
    for format in [TokenFormat::Secret, TokenFormat::Plain] {
        let scene = Scene::new(&place, format).await;
        scene.redis(&[b"HSET", b"KEY", b"pickled", b"\x80\x04\x95\xff\xfe"]);
        scene.redis(&[b"HSET", b"KEY", b"\xc3\x28", b"an odd name"]);
        for path in ["/read", "/write", "/count", "/read"] {
            assert_eq!(scene.get(path).await.status, 200, "{format:?}: {path}");
        }
        assert_eq!(scene.get("/read").await.body, "session of andrew");
        let pickled: Vec<u8> =
            redis::cmd("HGET").arg(&scene.key).arg("pickled").query(&mut scene.place.server().client()).unwrap();
        assert_eq!(pickled, b"\x80\x04\x95\xff\xfe", "only what was changed is written");
    }
}

#[tokio::test]
async fn a_value_that_is_no_json_of_the_type_reads_as_none() {
    let place = Place::redis().await;
    let scene = Scene::new(&place, TokenFormat::Secret).await;
    for text in ["3", "{\"a\":", "[1,2", "null", "true"] {
        scene.redis(&[b"HSET", b"KEY", b"name", text.as_bytes()]);
        assert_eq!(scene.get("/read").await.status, 200, "{text}");
    }
    scene.redis(&[b"HSET", b"KEY", b"n", b"three"]);
    assert_eq!(scene.get("/count").await.status, 500, "the application's mistake, and only on this route");
    assert_eq!(scene.get("/read").await.status, 200);
}
