//! Headers `Authorization` that were not minted here, byte by byte as an attacker would send them.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use cloakroom::{Config, Field, Session, Sessions, TokenFormat};

use crate::support::{Browser, Place, wire};

const NAME: Field<String> = Field::new("name");

fn app(sessions: &Sessions) -> Router {
    let read = async |session: Session| match session.get(NAME)? {
        Some(name) => Ok(format!("hello {name}")),
        None => Ok::<_, cloakroom::Error>("anonymous".to_owned()),
    };
    Router::new()
        .route("/read", get(read))
        .route("/write", get(async |session: Session| session.set(NAME, "andrew")))
        .layer(sessions.layer())
}

/// An application on Redis behind a real listener, and the token of a session.
struct Scene {
    place: Place,
    server: SocketAddr,
    token: String,
}

impl Scene {
    async fn new(format: TokenFormat) -> Scene {
        let place = Place::redis().await;
        let app = app(&place.sessions_with(Config::builder().bearer_tokens().token_format(format)));
        let browser = Browser::new(app.clone());
        browser.visit("/write").await;
        Scene { place, server: wire::serve(app).await, token: browser.token().unwrap() }
    }

    async fn reads_as(&self, expected: &str, authorization: impl AsRef<[u8]>) {
        let authorization = authorization.as_ref();
        let answer = wire::get(self.server, "/read", &[b"Authorization: ", authorization].concat()).await;
        let shown: String = String::from_utf8_lossy(authorization).chars().take(200).collect();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{shown}: {answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{expected}")), "{shown}: {answer}");
        assert!(!answer.to_lowercase().contains("set-cookie"), "{shown}: {answer}");
    }
}

#[tokio::test]
async fn the_scheme_may_be_written_in_any_case_and_followed_by_several_spaces() {
    for format in [TokenFormat::Secret, TokenFormat::Plain] {
        let scene = Scene::new(format).await;
        for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
            scene.reads_as("hello andrew", format!("{scheme} {}", scene.token)).await;
            scene.reads_as("hello andrew", format!("  {scheme}    {}  \t", scene.token)).await;
        }
    }
}

#[tokio::test]
async fn what_is_not_exactly_a_token_is_an_anonymous_client_and_costs_no_command() {
    let scene = Scene::new(TokenFormat::Secret).await;
    let token = scene.token.as_str();
    let (id, secret) = token.split_once('.').unwrap();
    let credentials: Vec<Vec<u8>> = vec![
        "".into(),
        "x".into(),
        ".".into(),
        ",".into(),
        "=".into(),
        token[..65].into(),
        format!("{token}A").into(),
        format!("{token}=").into(),
        format!("{token},").into(),
        format!(",{token}").into(),
        format!("{token}, {token}").into(),
        format!("{token}, Bearer {token}").into(),
        format!("{token} {token}").into(),
        format!("{token};").into(),
        format!("\"{token}\"").into(),
        format!("token={token}").into(),
        format!("token=\"{token}\"").into(),
        format!("__Host-sid={token}").into(),
        format!("Bearer {token}").into(),
        format!("\t{token}").into(),
        format!("{id}\t.{secret}").into(),
        token.replace('.', "%2E").into(),
        id.into(),
        secret.into(),
        format!("{secret}.{id}").into(),
        token.repeat(124).into(),
        "A".repeat(8192).into(),
        [token.as_bytes(), b"\xff"].concat(),
        [&token.as_bytes()[..64], "é".as_bytes()].concat(),
        "*".into(),
        "' OR 1=1 --".into(),
    ];
    let mut monitor = scene.place.server().monitor();
    for credential in credentials {
        scene.reads_as("anonymous", [b"Bearer ", credential.as_slice()].concat()).await;
    }
    for odd in [
        "Bearer".to_owned(),
        format!("Bearer\t{token}"),
        format!("Bearer,{token}"),
        format!("Bearer={token}"),
        format!("Bearer:{token}"),
        format!("Bearer\"{token}\""),
        format!("Bearer{token}"),
        format!("Bearer-{token}"),
        format!("Token {token}"),
        format!("Basic {token}"),
        format!("X Bearer {token}"),
        format!(", Bearer {token}"),
        format!("\"Bearer\" {token}"),
        token.to_owned(),
        String::new(),
    ] {
        scene.reads_as("anonymous", odd).await;
    }
    assert_eq!(monitor.commands(), [""; 0]);
    scene.reads_as("hello andrew", format!("Bearer {token}")).await;
}

#[tokio::test]
async fn control_characters_in_the_header_are_refused_or_anonymous_and_never_reach_redis() {
    let scene = Scene::new(TokenFormat::Secret).await;
    let token = scene.token.as_bytes();
    let mut monitor = scene.place.server().monitor();
    for odd in [b"\0".as_slice(), b"\r", b"\n", b"\r\n", b"\x7f", b"\x1b[2J"] {
        for value in [[odd, token].concat(), [&token[..30], odd, &token[30..]].concat()] {
            let header = [b"Authorization: Bearer ", value.as_slice()].concat();
            let answer = wire::get(scene.server, "/read", &header).await;
            assert!(answer.starts_with("HTTP/1.1 400 ") || answer.ends_with("\r\n\r\nanonymous"), "{odd:?}: {answer}");
        }
    }
    assert_eq!(monitor.commands(), [""; 0]);
}

#[tokio::test]
async fn a_token_that_nobody_minted_and_one_of_the_other_format_open_nothing() {
    let keyed = Scene::new(TokenFormat::Secret).await;
    let plain = Scene::new(TokenFormat::Plain).await;
    keyed.reads_as("anonymous", format!("Bearer {}.{}", "A".repeat(22), "A".repeat(43))).await;
    keyed.reads_as("anonymous", format!("Bearer {}", plain.token)).await;
    plain.reads_as("anonymous", format!("Bearer {}", keyed.token)).await;
    plain.reads_as("anonymous", format!("Bearer {}", "A".repeat(43))).await;
}

#[tokio::test]
async fn a_header_that_stands_twice_is_refused_however_it_is_written() {
    let scene = Scene::new(TokenFormat::Secret).await;
    let token = &scene.token;
    let mut monitor = scene.place.server().monitor();
    for lines in [
        format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}"),
        format!("Authorization: Bearer {token}\r\nauthorization: bearer"),
        format!("Authorization: Basic YTpi\r\nAUTHORIZATION: bearer {token}"),
        format!("Authorization: a\r\nAuthorization: b\r\nAuthorization: Bearer {token}"),
        format!("Authorization: Bearer {token}\r\nCookie: __Host-sid="),
        format!("Cookie: a=b\r\nAuthorization: Bearer {token}\r\nCookie: c=d; __Host-sid={token}"),
    ] {
        let answer = wire::get(scene.server, "/read", lines.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{lines}: {answer}");
        assert!(!answer.to_lowercase().contains("set-cookie"), "{lines}: {answer}");
    }
    assert_eq!(monitor.commands(), [""; 0]);
}
