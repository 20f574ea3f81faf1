//! Tokens and secrets are nowhere but in the browser: not in logs, errors, `Debug`, on the way to Redis or in it.

mod support;

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, header};
use axum::routing::get;
use cloakroom::store::Redis;
use cloakroom::{Config, Error, Field, Session, SessionId, Sessions, TokenFormat, web::Visit};
use metrics_util::debugging::DebuggingRecorder;
use support::{Answer, Browser, Capture, Fault, Place, RedisServer, Watched};

const NAME: Field<String> = Field::new("name");
const COUNT: Field<i64> = Field::new("count");
const NEW_TOKEN: HeaderName = HeaderName::from_static("x-session-token");

/// What the whole process logs, at every level, whoever logs it.
static LOG: LazyLock<Capture> = LazyLock::new(|| {
    let capture = Capture::default();
    capture.install();
    capture
});

/// What a test has seen: everything that `Debug` and `Display` made of everything.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<String>>);

impl Seen {
    fn note(&self, what: impl std::fmt::Debug) {
        let mut seen = self.0.lock().unwrap();
        seen.push_str(&format!("{what:?}\n{what:#?}\n"));
    }

    fn note_error(&self, error: &Error) {
        self.note(error);
        self.note(error.to_string());
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

/// Routes that do everything that can be done, and note whatever they get hold of.
fn app(sessions: &Sessions, seen: &Seen) -> Router {
    let (manager, notes, heads) = (sessions.clone(), seen.clone(), seen.clone());
    // an error page that notes the head of its request
    let layer = sessions.layer().on_error(move |error, request| {
        heads.note(request);
        request.default_response::<axum::response::Response>(error)
    });
    let csrf = async |session: Session| session.csrf_token();
    let taking = seen.clone();
    let take = async move |session: Session| {
        session.increment(COUNT, 1).await?;
        session.commit().await?;
        let token = session.take_token().inspect_err(|error| taking.note_error(error))?;
        taking.note((&token, &session));
        Ok::<_, Error>(token.expose().to_owned())
    };
    let verb = async move |path: axum::extract::Path<String>, request: Request| {
        notes.note(Visit::begin(&manager, request.method(), request.uri(), request.headers()));
        notes.note(request.extensions().get::<Visit>());
        let session = Session::load(request.extensions()).await.inspect_err(|error| notes.note_error(error))?;
        notes.note(session.devices().await);
        let done = done(&path, &session, &manager).await.inspect_err(|error| notes.note_error(error));
        notes.note((&session, session.id(), session.id().map(|id| id.to_string()), session.stored()));
        done
    };
    Router::new().route("/{verb}", get(verb)).route("/csrf", get(csrf)).route("/take", get(take)).layer(layer)
}

async fn done(verb: &str, session: &Session, manager: &Sessions) -> Result<(), Error> {
    match verb {
        "write" => session.set(NAME, "andrew"),
        "remove" => session.remove(NAME),
        "misread" => session.try_get(Field::<Vec<u8>>::named("name")).map(drop),
        "miscount" => session.increment(Field::named("name"), 1).await.map(drop),
        "reserved" => session.set(Field::<String>::named("secret_hash"), "x"),
        "large" => session.set(NAME, "x".repeat(70_000).as_str()),
        "count" => session.increment(COUNT, 1).await.map(drop),
        "rotate" => session.rotate().await,
        "elevate" => session.elevate().await,
        "sign_in" => session.sign_in("andrew").device("Anna's phone").ip("192.0.2.7").await,
        "devices" => session.devices().await.map(drop),
        "recent" => session.require_recent_sign_in(Duration::ZERO).await,
        "sign_in_again" => session.sign_in("andrew").await,
        "switch" => session.sign_in("betty").await,
        "others" => session.sign_out_others().await.map(drop),
        "everywhere" => session.sign_out_everywhere().await.map(drop),
        "forged" => session.check_csrf(&"x".repeat(43)),
        "update" => session.update(NAME, |name| name.push('x')).await,
        "take" => session.take(NAME).await.map(drop),
        "commit" => session.commit().await,
        "idle" => session.set_idle_timeout(Duration::from_secs(60)),
        "sign_out" => session.sign_out().await,
        "revoked" => {
            manager.revoke(&session.id().unwrap()).await?;
            session.set(NAME, "too late")
        }
        _ => Ok(session.get(NAME).map(drop)?),
    }
}

/// A life with everything in it, good and bad, and every token that the browser carried in it.
async fn live(place: &Place, format: TokenFormat, seen: &Seen) -> Vec<String> {
    let hook = seen.clone();
    let config = Config::builder().token_format(format).touch_interval(Duration::ZERO).max_sessions_per_user(1);
    let config = config.bearer_tokens().bearer_token_header(NEW_TOKEN.as_str()).on_event(move |event| hook.note(event));
    seen.note(&config);
    let sessions = place.sessions_with(config);
    seen.note((&sessions, sessions.config(), sessions.layer(), &place.store));
    let browser = Browser::new(app(&sessions, seen));
    let mut tokens = Vec::new();
    let note = |answer: Answer| {
        seen.note((&answer.headers, answer.status));
    };
    let good = [
        "write",
        "read",
        "count",
        "idle",
        "commit",
        "rotate",
        "read",
        "write",
        "rotate",
        "count",
        "elevate",
        "sign_in",
        "read",
        "devices",
        "recent",
        "sign_in_again",
        "update",
        "others",
        "switch",
        "write",
    ];
    let bad = ["misread", "miscount", "reserved", "large", "forged"];
    for verb in good.iter().chain(&bad) {
        note(browser.get(&format!("/{verb}")).await);
        tokens.extend(browser.token());
        // what a form gets is for the page alone
        tokens.push(browser.get("/csrf").await.body);
    }
    tokens.retain(|token| !token.is_empty());
    // one session too many: the first one learns why it ended
    let elsewhere = browser.stranger();
    for browser in [&browser, &elsewhere, &browser, &browser] {
        note(browser.get("/sign_in").await);
        tokens.extend(browser.token());
    }
    for fault in [Fault::Away, Fault::AnswerLost] {
        for store_verb in ["load", "apply", "revoke"] {
            place.store.fault(store_verb, fault);
            for verb in ["read", "write", "count", "rotate", "commit", "sign_in", "others", "update"] {
                note(browser.get(&format!("/{verb}")).await);
                tokens.extend(browser.token());
            }
            place.store.heal();
        }
    }
    note(browser.get("/everywhere").await);
    note(browser.get("/write").await);
    note(browser.get("/sign_out").await);
    // stale use, two tokens at once, what somebody made up
    let (first, last) = (tokens[0].clone(), tokens[tokens.len() - 1].clone());
    for cookie in [last.clone(), first.clone(), format!("{first}x"), format!("{first}; __Host-sid={last}")] {
        for verb in ["read", "sign_out", "rotate"] {
            note(browser.send(&format!("/{verb}"), Some(&format!("__Host-sid={cookie}"))).await);
        }
    }
    note(browser.get("/write").await);
    tokens.extend(browser.token());
    note(browser.get("/revoked").await);
    note(browser.get("/write").await);
    tokens.extend(browser.token());
    tokens.extend(live_with_bearer_tokens(&browser.stranger(), &tokens, seen).await);
    seen.note(&place.store);
    seen.note(SessionId::parse(&tokens[0]));
    tokens.dedup();
    tokens
}

/// The life of a client that keeps its tokens itself, and what it carried in it.
async fn live_with_bearer_tokens(client: &Browser, cookies: &[String], seen: &Seen) -> Vec<String> {
    let mut tokens = vec![client.send("/take", None).await.body];
    for verb in
        ["read", "write", "take", "rotate", "elevate", "sign_in", "sign_in_again", "miscount", "sign_out", "write"]
    {
        let bearer = format!("Bearer {}", tokens[tokens.len() - 1]);
        let answer = client.saying(header::AUTHORIZATION, &bearer).send(&format!("/{verb}"), None).await;
        seen.note((&answer.headers, answer.status));
        tokens.extend(answer.all(NEW_TOKEN));
    }
    // a cookie beside it, one header too many, what somebody made up
    let (first, last) = (tokens[0].clone(), cookies[cookies.len() - 1].clone());
    for authorization in
        [format!("Bearer {last}"), format!("bearer {first}x"), format!("Bearer {first}, Bearer {last}")]
    {
        for cookie in [None, Some(format!("__Host-sid={last}"))] {
            let client = client.saying(header::AUTHORIZATION, &authorization);
            for client in [client.saying(header::AUTHORIZATION, &authorization), client] {
                let answer = client.send("/recent", cookie.as_deref()).await;
                seen.note((&answer.headers, answer.status));
            }
        }
    }
    tokens
}

/// What must not be found: of a keyed token the secret half, of a plain one more than eight characters.
fn forbidden(token: &str) -> &str {
    match token.split_once('.') {
        Some((_, secret)) => secret,
        None => &token[..9],
    }
}

fn holds_none(place: &str, text: &str, tokens: &[String]) {
    for token in tokens {
        let secret = forbidden(token);
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{place} hold {secret} of {token}: {line:?}");
    }
}

/// The check can fail: it finds what is put there.
#[test]
#[should_panic(expected = "the logs hold")]
fn the_check_finds_a_token_that_is_logged() {
    let token = format!("{}.{}", "I".repeat(22), "S".repeat(43));
    LazyLock::force(&LOG);
    tracing::trace!(target: "somebody_else", "cookie: {token}");
    holds_none("the logs", &LOG.text(), &[token]);
}

#[test]
#[should_panic(expected = "the notes hold")]
fn the_check_finds_more_than_eight_characters_of_a_plain_token() {
    let token = "P".repeat(43);
    let seen = Seen::default();
    seen.note(&token[..9]);
    holds_none("the notes", &seen.text(), &[token]);
}

async fn nothing_leaks(place: Place, format: TokenFormat) {
    LazyLock::force(&LOG);
    let recorder = DebuggingRecorder::new();
    let _listening = metrics::set_default_local_recorder(&recorder);
    let seen = Seen::default();
    let tokens = live(&place, format, &seen).await;
    let least = if format == TokenFormat::Secret { 6 } else { 3 };
    assert!(tokens.len() >= least, "the life had {} tokens in it", tokens.len());

    let (notes, log) = (seen.text() + &place.store.shown(), LOG.text());
    // what is looked through is really there
    let id = tokens[0].split('.').next().unwrap();
    let shown = if format == TokenFormat::Secret { id } else { &id[..8] };
    assert!(notes.contains(shown) && log.contains(shown) && log.contains("session store: "));
    holds_none("the notes", &notes, &tokens);
    holds_none("the logs", &log, &tokens);
    // a metric shows no session and no user either
    let metrics = format!("{:?}", recorder.snapshotter().snapshot().into_vec());
    assert!(metrics.contains("cloakroom_loads_total") && metrics.contains("cloakroom_store_errors_total"));
    holds_none("the metrics", &metrics, &tokens);
    for name in [shown, "andrew", "betty", "Anna", "192.0.2.7"] {
        assert!(!metrics.contains(name), "{name} in {metrics}");
    }
}

#[tokio::test]
async fn in_memory_nothing_shows_a_secret() {
    nothing_leaks(Place::memory(), TokenFormat::Secret).await;
}

#[tokio::test]
async fn in_memory_nothing_shows_more_of_a_plain_token_than_eight_characters() {
    nothing_leaks(Place::memory(), TokenFormat::Plain).await;
}

#[tokio::test]
async fn with_redis_nothing_shows_a_secret() {
    nothing_leaks(Place::redis().await, TokenFormat::Secret).await;
}

#[tokio::test]
async fn with_redis_nothing_shows_more_of_a_plain_token_than_eight_characters() {
    nothing_leaks(Place::redis().await, TokenFormat::Plain).await;
}

/// Every key and every value, and where and what else a server keeps.
fn everything_in(server: &RedisServer) -> String {
    let mut client = server.client();
    let mut text = String::new();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut client).unwrap();
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query(&mut client).unwrap();
        let all = match kind.as_str() {
            "hash" => redis::cmd("HGETALL").arg(&key).clone(),
            _ => redis::cmd("ZRANGE").arg(&key).arg(0).arg(-1).clone(),
        };
        let values: Vec<String> = all.query(&mut client).unwrap();
        text.push_str(&format!("{key}\n{}\n", values.join("\n")));
    }
    let slow: redis::Value = redis::cmd("SLOWLOG").arg("GET").arg(1000).query(&mut client).unwrap();
    let clients: String = redis::cmd("CLIENT").arg("LIST").query(&mut client).unwrap();
    format!("{text}{slow:?}\n{clients}")
}

#[tokio::test]
async fn redis_never_sees_a_secret_and_a_dump_holds_hashes_only() {
    let place = Place::redis().await;
    redis::cmd("CONFIG").arg("SET").arg("slowlog-log-slower-than").arg(0).exec(&mut place.server().client()).unwrap();
    let mut monitor = place.server().monitor();
    let tokens = live(&place, TokenFormat::Secret, &Seen::default()).await;
    let (dump, wire) = (everything_in(place.server()), monitor.lines().join("\n"));
    let id = tokens[tokens.len() - 1].split('.').next().unwrap();
    assert!(dump.contains(&format!("session:{id}")) && dump.contains("secret_hash") && wire.contains(id));
    holds_none("Redis's keys and values", &dump, &tokens);
    holds_none("the commands", &wire, &tokens);
}

#[tokio::test]
async fn no_log_error_or_debug_holds_a_secret_hash_either() {
    LazyLock::force(&LOG);
    let place = Place::redis().await;
    let seen = Seen::default();
    live(&place, TokenFormat::Secret, &seen).await;
    let mut client = place.server().client();
    let keys: Vec<String> = redis::cmd("KEYS").arg("session:*").query(&mut client).unwrap();
    let key = keys.iter().find(|key| !key.starts_with("session:user:")).unwrap();
    let hash: String = redis::cmd("HGET").arg(key).arg("secret_hash").query(&mut client).unwrap();
    assert_eq!(hash.len(), 43);
    for text in [seen.text(), place.store.shown(), LOG.text()] {
        assert!(!text.contains(&hash));
    }
}

#[tokio::test]
async fn a_server_that_quotes_the_question_in_its_refusal_does_not_make_us_leak_it() {
    LazyLock::force(&LOG);
    for command in ["HGETALL", "EVALSHA"] {
        for format in [TokenFormat::Secret, TokenFormat::Plain] {
            let server = RedisServer::start();
            let redis = Redis::builder(server.url()).timeout(Duration::from_secs(20)).connect().await.unwrap();
            let store = Watched::from(redis);
            let config = Config::builder().token_format(format).store_timeout(Duration::from_secs(20)).build().unwrap();
            let seen = Seen::default();
            let browser = Browser::new(app(&Sessions::new(store.clone(), config.clone()), &seen));
            browser.visit("/write").await;
            let token = browser.token().unwrap();

            // the same session at a server that does not know this command, as some providers have it
            let crippled = RedisServer::start_with(&["--rename-command", command, ""]);
            let redis = Redis::builder(crippled.url()).timeout(Duration::from_secs(20)).connect().await.unwrap();
            if command != "HGETALL" {
                let key = format!("session:{}", token.split('.').next().unwrap());
                let dump: Vec<u8> = redis::cmd("DUMP").arg(&key).query(&mut server.client()).unwrap();
                let mut client = crippled.client();
                redis::cmd("RESTORE").arg(&key).arg(60_000).arg(dump).exec(&mut client).unwrap();
            }
            let browser = browser.at(app(&Sessions::new(Watched::from(redis), config), &seen));
            let mut refused = 0;
            for verb in ["read", "write", "count", "sign_out"] {
                let answer = browser.get(&format!("/{verb}")).await;
                refused += usize::from(answer.status == 503);
            }
            assert!(refused > 0, "{command}");
            let words = seen.text().to_lowercase();
            assert!(words.contains("unknown command") || words.contains("unknown redis command"), "{words}");
            holds_none("the notes", &seen.text(), std::slice::from_ref(&token));
            holds_none("the logs", &LOG.text(), &[token]);
        }
    }
}

#[tokio::test]
async fn the_password_of_the_url_is_never_shown() {
    LazyLock::force(&LOG);
    let mut server = RedisServer::start();
    let mut client = server.client();
    redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("correct-horse").exec(&mut client).unwrap();
    let url = format!("redis://:correct-horse@127.0.0.1:{}/0", server.port());
    let redis = Redis::builder(url).timeout(Duration::from_secs(1)).connect().await.unwrap();
    let seen = Seen::default();
    seen.note(&redis);
    let sessions = Sessions::new(Watched::from(redis), Config::default());
    let browser = Browser::new(app(&sessions, &seen));
    browser.visit("/write").await;
    redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("battery-staple").exec(&mut client).unwrap();
    server.kill();
    while !seen.text().contains("is not connected") {
        browser.get("/read").await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    seen.note(&sessions);
    assert!(LOG.text().contains("connection lost"));
    for text in [seen.text(), LOG.text()] {
        assert!(!text.contains("correct-horse") && !text.contains("battery-staple"));
    }
}
