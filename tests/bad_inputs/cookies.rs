//! Cookies that were not minted here, byte by byte as an attacker would send them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use cloakroom::{Config, Field, Session, Sessions, TokenFormat};

use crate::support::{Browser, Capture, Place, wire};

const NAME: Field<String> = Field::new("name");

fn app(sessions: &Sessions) -> Router {
    let read = async |session: Session| match session.get(NAME)? {
        Some(name) => Ok(format!("hello {name}")),
        None if session.exists() => Ok("an empty session".to_owned()),
        None => Ok::<_, cloakroom::Error>("anonymous".to_owned()),
    };
    Router::new()
        .route("/read", get(read))
        .route("/write", get(async |session: Session| session.set(NAME, "andrew")))
        .layer(sessions.layer())
}

/// An application on Redis behind a real listener, and a visitor with a session.
struct Scene {
    place: Place,
    server: SocketAddr,
    token: String,
    // a second session, as an attacker has one
    other: String,
}

impl Scene {
    async fn new(config: cloakroom::ConfigBuilder) -> Scene {
        let place = Place::redis().await;
        let app = app(&place.sessions_with(config));
        let browser = Browser::new(app.clone());
        browser.visit("/write").await;
        let stranger = browser.stranger();
        stranger.visit("/write").await;
        let server = wire::serve(app).await;
        Scene { place, server, token: browser.token().unwrap(), other: stranger.token().unwrap() }
    }

    async fn read(&self, cookie: impl AsRef<[u8]>) -> String {
        wire::get_with_cookie(self.server, "/read", cookie.as_ref()).await
    }

    async fn reads_as(&self, expected: &str, cookie: impl AsRef<[u8]>) {
        let answer = self.read(&cookie).await;
        let shown: String = String::from_utf8_lossy(cookie.as_ref()).chars().take(200).collect();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{shown}: {answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{expected}")), "{shown}: {answer}");
        assert!(!answer.to_lowercase().contains("set-cookie"), "{shown}: {answer}");
    }

    /// Everything that is stored, but not when it expires.
    fn stored(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut client = self.place.server().client();
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut client).unwrap();
        let read = |key: String| {
            let hash = redis::cmd("HGETALL").arg(&key).query(&mut client).unwrap();
            (key, hash)
        };
        keys.into_iter().map(read).collect()
    }
}

fn with_last(text: &str, last: char) -> String {
    format!("{}{last}", &text[..text.len() - 1])
}

#[tokio::test]
async fn a_malformed_token_is_an_anonymous_visitor_and_costs_no_command() {
    let scene = Scene::new(Config::builder()).await;
    let token = scene.token.as_str();
    let (id, secret) = token.split_once('.').unwrap();
    let values: Vec<Vec<u8>> = vec![
        "".into(),
        ".".into(),
        token[..65].into(),
        format!("{token}A").into(),
        token.repeat(124).into(),
        "A".repeat(8192).into(),
        format!("\"{token}\"").into(),
        format!("{token}=").into(),
        with_last(token, '+').into(),
        with_last(token, '/').into(),
        with_last(token, '=').into(),
        // 43 characters carry 258 bits: the two spare ones of a minted secret are zero
        with_last(token, 'B').into(),
        format!("{}.{secret}", with_last(id, 'B')).into(),
        id.into(),
        secret.into(),
        format!(".{secret}").into(),
        format!("{id}.").into(),
        format!("{secret}.{id}").into(),
        token.replace('.', "%2E").into(),
        token.replace('.', ":").into(),
        format!("{id}..{secret}").into(),
        format!("{id}. {secret}").into(),
        format!("session:{token}").into(),
        token.to_uppercase().replace('.', "").into(),
        [&token.as_bytes()[..65], b"\xff"].concat(),
        [&token.as_bytes()[..64], "é".as_bytes()].concat(),
        [token.as_bytes(), b"\t"].concat().iter().copied().chain(*b"x").collect(),
        "*".into(),
        "../../etc/passwd".into(),
        "' OR 1=1 --".into(),
    ];
    let mut monitor = scene.place.server().monitor();
    for value in values {
        scene.reads_as("anonymous", [b"__Host-sid=", value.as_slice()].concat()).await;
    }
    for cookie in ["", "__Host-sid", ";;;", "=", "__Host-sid;", "=__Host-sid", "; =;", "__Host-si=x"] {
        scene.reads_as("anonymous", cookie).await;
    }
    assert_eq!(monitor.commands(), [""; 0]);
    scene.reads_as("hello andrew", format!("__Host-sid={token}")).await;
}

#[tokio::test]
async fn control_characters_in_a_cookie_are_refused_or_anonymous_and_never_reach_redis() {
    let scene = Scene::new(Config::builder()).await;
    let token = scene.token.as_bytes();
    let mut monitor = scene.place.server().monitor();
    for odd in [b"\0".as_slice(), b"\r", b"\n", b"\r\n", b"\x7f", b"\x1b[2J"] {
        for value in [[odd, token].concat(), [&token[..30], odd, &token[30..]].concat()] {
            let answer = scene.read([b"__Host-sid=", value.as_slice()].concat()).await;
            assert!(answer.starts_with("HTTP/1.1 400 ") || answer.ends_with("\r\n\r\nanonymous"), "{odd:?}: {answer}");
        }
    }
    assert_eq!(monitor.commands(), [""; 0]);
    scene.reads_as("hello andrew", [b"__Host-sid=", token].concat()).await;
}

#[tokio::test]
async fn a_token_that_nobody_minted_is_not_adopted() {
    let scene = Scene::new(Config::builder()).await;
    for (id, secret) in [("A".repeat(22), "A".repeat(43)), ("_".repeat(21) + "w", "-".repeat(42) + "8")] {
        let cookie = format!("__Host-sid={id}.{secret}");
        let before = scene.stored();
        scene.reads_as("anonymous", &cookie).await;
        assert_eq!(scene.stored(), before);
        let answer = wire::get_with_cookie(scene.server, "/write", cookie.as_bytes()).await;
        assert!(answer.contains("set-cookie: __Host-sid=") && !answer.contains(&id), "{answer}");
        assert!(!scene.stored().contains_key(&format!("session:{id}")));
        assert_eq!(scene.stored().len(), before.len() + 1, "a session of its own");
    }
}

#[tokio::test]
async fn the_right_id_with_a_wrong_secret_opens_nothing_and_does_not_touch_the_session() {
    let scene = Scene::new(Config::builder().touch_interval(std::time::Duration::ZERO)).await;
    let (id, secret) = scene.token.split_once('.').unwrap();
    let (other_id, other_secret) = scene.other.split_once('.').unwrap();
    let before = scene.stored();
    let hash = before[&format!("session:{id}")]["secret_hash"].clone();
    let wrong = ["A".repeat(43), other_secret.to_owned(), hash, secret.chars().rev().collect()];
    for secret in wrong {
        scene.reads_as("anonymous", format!("__Host-sid={id}.{secret}")).await;
    }
    scene.reads_as("anonymous", format!("__Host-sid={other_id}.{secret}")).await;
    assert_eq!(scene.stored(), before);
}

#[tokio::test]
async fn nothing_in_a_stolen_dump_opens_a_session() {
    let scene = Scene::new(Config::builder()).await;
    for (key, fields) in scene.stored() {
        let id = key.trim_start_matches("session:");
        let hash = &fields["secret_hash"];
        for cookie in [id.to_owned(), hash.clone(), format!("{id}.{hash}"), format!("{hash}.{id}")] {
            scene.reads_as("anonymous", format!("__Host-sid={cookie}")).await;
        }
    }
}

#[tokio::test]
async fn with_plain_tokens_a_keyed_token_is_malformed_and_the_other_way_round() {
    let keyed = Scene::new(Config::builder()).await;
    let plain = Scene::new(Config::builder().token_format(TokenFormat::Plain)).await;
    keyed.reads_as("anonymous", format!("__Host-sid={}", plain.token)).await;
    plain.reads_as("anonymous", format!("__Host-sid={}", keyed.token)).await;
    plain.reads_as("hello andrew", format!("__Host-sid={}", plain.token)).await;
    let mut monitor = plain.place.server().monitor();
    for cookie in [&plain.token[..42], &format!("{}A", plain.token), &with_last(&plain.token, 'B'), "", "*"] {
        plain.reads_as("anonymous", format!("__Host-sid={cookie}")).await;
    }
    assert_eq!(monitor.commands(), [""; 0]);
}

#[tokio::test]
async fn two_tokens_that_each_open_a_session_open_neither_and_are_logged_once() {
    let place = Place::memory();
    let browser = Browser::new(app(&place.sessions()));
    browser.visit("/write").await;
    let stranger = browser.stranger();
    stranger.visit("/write").await;
    let (mine, planted) = (browser.token().unwrap(), stranger.token().unwrap());
    place.store.asked();

    let capture = Capture::default();
    let _guard = tracing::subscriber::set_default(capture.subscriber());
    for (first, second) in [(&mine, &planted), (&planted, &mine)] {
        let before = capture.count("several tokens in one request");
        let answer = browser.send("/read", Some(&format!("__Host-sid={first}; __Host-sid={second}"))).await;
        assert_eq!((answer.body.as_str(), answer.set_cookie()), ("anonymous", None));
        assert_eq!(capture.count("several tokens in one request"), before + 1);
        assert_eq!(place.store.asked(), ["load", "load"]);
    }
    let many: Vec<_> = (0..500).flat_map(|_| [&mine, &planted]).map(|token| format!("__Host-sid={token}")).collect();
    assert_eq!(browser.send("/read", Some(&many.join("; "))).await.body, "anonymous");
    assert_eq!(capture.count("several tokens in one request"), 3);
    assert_eq!(place.store.asked(), ["load", "load"], "the same token is looked at once");
}

#[tokio::test]
async fn the_valid_token_is_found_beside_others_that_are_none() {
    let scene = Scene::new(Config::builder()).await;
    let token = &scene.token;
    for cookie in [
        format!("__Host-sid={token}; __Host-sid={token}"),
        format!("__Host-sid=x; __Host-sid={token}; __Host-sid="),
        format!("a=b;__Host-sid={token};c=\"d;e\""),
        format!("  ;  __Host-sid={token}  ;"),
        format!("not__Host-sid=x; __Host-sid={token}; __Host-sid2=y; __host-sid=z"),
    ] {
        scene.reads_as("hello andrew", cookie).await;
    }
    let beside_odd_bytes = [b"caf\xe9=\xff\xfe; __Host-sid=", token.as_bytes(), b"; \x80=\x81"].concat();
    scene.reads_as("hello andrew", beside_odd_bytes).await;
    scene.reads_as("anonymous", format!("__HOST-SID={token}")).await;
    scene.reads_as("anonymous", format!("__Host-sid ={token}")).await;
}

#[tokio::test]
async fn the_token_is_found_in_the_second_cookie_header() {
    let scene = Scene::new(Config::builder()).await;
    let headers = format!("Cookie: a=b\r\nCookie: __Host-sid={}\r\ncookie: c=d", scene.token);
    let answer = wire::get(scene.server, "/read", headers.as_bytes()).await;
    assert!(answer.ends_with("hello andrew"), "{answer}");
    let headers = format!("Cookie: __Host-sid={}\r\nCookie: __Host-sid={}", scene.token, scene.other);
    let answer = wire::get(scene.server, "/read", headers.as_bytes()).await;
    assert!(answer.ends_with("anonymous"), "{answer}");
}

#[tokio::test]
async fn a_thousand_cookies_cost_at_most_one_look() {
    let scene = Scene::new(Config::builder()).await;
    let join = |pair: &dyn Fn(usize) -> String| (0..1000).map(pair).collect::<Vec<_>>().join("; ");
    let mut monitor = scene.place.server().monitor();

    let others = join(&|i| format!("c{i}={i}"));
    scene.reads_as("hello andrew", format!("{others}; __Host-sid={}", scene.token)).await;
    scene.reads_as("hello andrew", join(&|_| format!("__Host-sid={}", scene.token))).await;
    assert_eq!(monitor.commands(), ["HGETALL", "HGETALL"]);

    scene.reads_as("anonymous", join(&|i| format!("__Host-sid={i}"))).await;
    scene.reads_as("anonymous", join(&|i| format!("__Host-sid={:022}.{:043}", i * 4, i * 4))).await;
    assert_eq!(monitor.commands(), [""; 0]);
}
