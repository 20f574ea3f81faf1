//! No secret is in the log, at whatever level.

use std::collections::BTreeSet;

use crate::caller::{Answer, ask, send};
use crate::keys::{KeysFile, showing};
use crate::support::RedisServer;
use crate::support::demo::{Demo, cloakroom};

/// Everything that must not be seen, and the words that must.
#[derive(Default)]
struct Watched {
    secrets: BTreeSet<String>,
    public: BTreeSet<String>,
}

impl Watched {
    /// Remembers the token of an answer: its secret, and the id before it, which is public.
    fn token_of(&mut self, answer: &Answer) -> String {
        let cookie = answer.cookie().expect("a cookie");
        let token = cookie.split_once('=').expect("a value").1;
        let (id, secret) = token.split_once('.').expect("a secret");
        self.secrets.insert(secret.to_owned());
        self.public.insert(id.to_owned());
        format!("cookie: {cookie}")
    }

    fn secret(&mut self, secret: &str) -> String {
        self.secrets.insert(secret.to_owned());
        secret.to_owned()
    }

    /// Looks for all of it in what the service has said.
    fn look(&self, service: &Demo) {
        let said = service.stdout() + &service.stderr();
        for secret in &self.secrets {
            let place = said.lines().find(|line| line.contains(secret.as_str()));
            assert_eq!(place, None, "{secret} is in the log");
        }
        // a log in which nothing can be found proves nothing
        for public in &self.public {
            assert!(said.contains(public.as_str()), "{public} is not in the log");
        }
    }
}

/// Signs somebody in, and asks again while the store is away.
fn ask_without_a_store(redis: &RedisServer, service: &Demo, admin: &str, watched: &mut Watched) {
    let key = showing(admin);
    let signed_in = ask(service, "POST", "/v1/session/sign-in", &[&key], r#"{"user":"bob"}"#);
    let cookie = watched.token_of(&signed_in);
    redis.pause();
    let failed = ask(service, "POST", "/v1/session/rotate", &[&key, &cookie], "");
    redis.resume();
    assert_eq!(failed.status, 503, "{failed:?}");
}

/// Does what callers do, well and badly.
fn use_it(keys: &KeysFile, service: &Demo, admin: &str, watched: &mut Watched) {
    let key = showing(admin);
    let call = |method: &str, path: &str, more: &[&str], body: &str| {
        let answer = ask(service, method, path, &[&[key.as_str()], more].concat(), body);
        assert!(!answer.body.contains("ckr_"), "{answer:?}");
        answer
    };
    let idempotent = format!("idempotency-key: {}", watched.secret("11111111-2222-4333-8444-555555555555"));
    let signed_in = call("POST", "/v1/session/sign-in", &[&idempotent], r#"{"user":"ada"}"#);
    let first = watched.token_of(&signed_in);
    let rotated = call("POST", "/v1/session/rotate", &[&first], "");
    let second = watched.token_of(&rotated);
    let elevated = call("POST", "/v1/session/elevate", &[&second], "");
    let third = watched.token_of(&elevated);
    call("GET", "/v1/session", &[&first], "");
    call("GET", "/v1/session/devices", &[&third], "");
    call("GET", "/v1/users/ada/sessions", &[], "");
    let query = watched.secret("query-that-is-nobodys-business");
    call("GET", &format!("/v1/session?{query}=1"), &[&third], "");
    let forged = watched.secret("forgedforgedforgedforgedforgedforgedforgedA");
    call(
        "GET",
        "/v1/session",
        &[&format!("{}{forged}", third.split_once('.').expect("a secret").0.to_owned() + ".")],
        "",
    );
    let body = watched.secret("what-stands-in-a-body-that-is-refused");
    call("POST", "/v1/session/sign-in", &[&third], &format!(r#"{{"user":"ada","{body}":1}}"#));
    call("POST", "/v1/session/sign-in", &[&third], &format!(r#"{{"user":"{body}"#));
    let signed_out = call("DELETE", "/v1/session", &[&third], "");
    assert_eq!(signed_out.status, 204);

    let wrong = watched.secret("ckr_wrongwrongwrongwrongwrongwrongwrongwrongwr0");
    ask(service, "GET", "/v1/session", &[&showing(&wrong)], "");
    ask(service, "GET", "/v1/session", &[&format!("authorization: Basic {wrong}")], "");
    let reader = watched.secret(&keys.key("reader", "read"));
    service.hang_up();
    ask(service, "DELETE", "/v1/session", &[&showing(&reader)], "");
    // a request that cannot be read, with everything in it
    send(service, format!("GET /v1/session HTTP/1.1\r\n{key}\r\n{first}\r\nx y: {wrong}\r\n\r\n").as_bytes());
}

#[test]
fn no_key_and_no_token_is_in_the_log_at_any_level() {
    let redis = RedisServer::start();
    let port = redis.port().to_string();
    for (format, store) in [("text", ["--store", "memory"]), ("json", ["--redis-port", &port])] {
        let keys = KeysFile::new();
        let mut watched = Watched::default();
        let admin = watched.secret(&keys.key("office", "admin"));
        let path = keys.path();
        let mut command = cloakroom(&["serve", "--listen", "127.0.0.1:0", "--log-format", format]);
        command
            .args(["--redis-timeout", "500"])
            .args(store)
            .args(["--keys", path.to_str().expect("UTF-8")])
            .env("RUST_LOG", "trace");
        let mut service = Demo::by(command);
        use_it(&keys, &service, &admin, &mut watched);
        if format == "json" {
            ask_without_a_store(&redis, &service, &admin, &mut watched);
        }
        let kept = keys.text();
        for line in kept.lines().filter(|line| line.starts_with("idempotency_secret") || line.starts_with("hash")) {
            watched.secret(line.split('"').nth(1).expect("a text"));
        }
        watched.public.extend(["office", "answered", "/v1/session/sign-in"].map(str::to_owned));
        assert!(service.stop().success());
        assert!(watched.secrets.len() >= 10, "{}", watched.secrets.len());
        watched.look(&service);
    }
}
