//! What each request costs: the commands that the server saw, from the layer down.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use cloakroom::store::Redis;
use cloakroom::{Config, ConfigBuilder, Error, Field, Session, Sessions, TokenFormat};
use support::redis_server::Monitor;
use support::{Browser, Gate, Place, RedisServer};

const NAME: Field<String> = Field::new("name");
const COUNT: Field<i64> = Field::new("count");

const READ: [&str; 1] = ["HGETALL"];
const READ_AND_CHANGE: [&str; 2] = ["HGETALL", "EVALSHA"];
const NOTHING: [&str; 0] = [];

fn app(sessions: &Sessions) -> Router {
    let set_many = async |session: Session, Path(count): Path<usize>| {
        for i in 0..count {
            session.set(Field::<usize>::named(format!("f{i}")), &i)?;
        }
        session.remove(NAME)
    };
    let set_and_count = async |session: Session| {
        session.set(NAME, "andrew")?;
        session.increment(COUNT, 1).await.map(drop)
    };
    let batch =
        async |session: Session| session.batch().expect(NAME, "andrew").set(NAME, "andrew").increment(COUNT, 1).await;
    let commit_twice = async |session: Session| {
        session.set(NAME, "andrew")?;
        session.commit().await?;
        session.commit().await
    };
    Router::new()
        .route("/static", get(async || "a picture"))
        .route("/read", get(async |session: Session| session.get(NAME).map(|name| name.unwrap_or_default())))
        .route("/peek", get(async |session: Session| session.peek()))
        .route("/set/{count}", get(set_many))
        .route("/write", get(async |session: Session| session.set(NAME, "andrew")))
        .route("/count", get(async |session: Session| session.increment(COUNT, 1).await.map(drop)))
        .route("/set_and_count", get(set_and_count))
        .route("/batch", get(batch))
        .route("/commit_twice", get(commit_twice))
        .route("/idle", get(async |session: Session| session.set_idle_timeout(Duration::from_secs(600))))
        .route("/rotate", get(async |session: Session| session.rotate().await))
        .route("/sign_in", get(async |session: Session| session.sign_in("anna").await))
        .route("/sign_out", get(async |session: Session| session.sign_out().await))
        .layer(sessions.layer())
}

struct Scene {
    place: Place,
    browser: Browser,
    monitor: Monitor,
}

impl Scene {
    /// A visitor with a session; the server knows the scripts.
    async fn new(config: ConfigBuilder) -> Scene {
        let place = Place::redis().await;
        let browser = Browser::new(app(&place.sessions_with(config)));
        for path in ["/write", "/write", "/sign_out", "/write"] {
            browser.visit(path).await;
        }
        let monitor = place.server().monitor();
        Scene { place, browser, monitor }
    }

    async fn costs(&mut self, path: &str, expected: &[&str]) {
        self.browser.visit(path).await;
        assert_eq!(self.monitor.commands(), expected, "{path}");
    }
}

#[tokio::test]
async fn every_kind_of_request_costs_what_the_table_says() {
    // a key that another program may have made is a session only if it has an expiry
    let reads: [(_, &[&str]); 2] = [(TokenFormat::Secret, &READ), (TokenFormat::Plain, &["HGETALL", "PTTL"])];
    for (format, read) in reads {
        let read_and = |changes: &[&'static str]| [read, changes].concat();
        let mut scene = Scene::new(Config::builder().token_format(format)).await;
        scene.costs("/static", &NOTHING).await;
        scene.costs("/read", read).await;
        scene.costs("/peek", read).await;
        for path in ["/write", "/set/1", "/set/100", "/idle", "/count"] {
            scene.costs(path, &read_and(&["EVALSHA"])).await;
        }
        scene.browser.visit("/write").await;
        scene.monitor.commands();
        scene.costs("/batch", &read_and(&["EVALSHA"])).await;
        scene.costs("/set_and_count", &read_and(&["EVALSHA", "EVALSHA"])).await;
        scene.costs("/commit_twice", &read_and(&["EVALSHA"])).await;
        scene.costs("/sign_out", &read_and(&["EVALSHA"])).await;
    }
}

/// A command that a request sends, its bytes, and those of its answer.
type Sent = (&'static str, usize, usize);

/// What a request sends to Redis, and how many commands the scripts among it call.
const ON_THE_WIRE: &[(&str, &[Sent], usize)] = &[
    ("/write", &[("EVALSHA", 413, 30)], 6),
    ("/read", &[("HGETALL", 54, 268)], 0),
    ("/write", &[("HGETALL", 54, 268), ("EVALSHA", 470, 30)], 4),
    ("/count", &[("HGETALL", 54, 268), ("EVALSHA", 466, 37)], 5),
    ("/rotate", &[("HGETALL", 54, 286), ("EVALSHA", 648, 30)], 6),
    // the new token is confirmed
    ("/read", &[("HGETALL", 54, 397), ("EVALSHA", 507, 30)], 4),
    ("/sign_in", &[("HGETALL", 54, 436), ("EVALSHA", 155, 62), ("EVALSHA", 750, 30)], 14),
    ("/sign_out", &[("HGETALL", 54, 488), ("EVALSHA", 178, 4)], 2),
];

#[tokio::test]
async fn every_kind_of_request_sends_and_is_answered_the_bytes_that_the_table_says() {
    let server = RedisServer::start();
    let gate = Gate::before(server.port()).await;
    let store = Redis::builder(gate.url()).timeout(Duration::from_secs(20)).connect().await.unwrap();
    let config = Config::builder().store_timeout(Duration::from_secs(20)).build().unwrap();
    let first = Browser::new(app(&Sessions::new(store, config)));
    for (path, ..) in ON_THE_WIRE {
        first.visit(path).await; // from now on the server knows the scripts
    }
    let (browser, mut monitor) = (first.stranger(), server.monitor());
    for (path, sent, scripted) in ON_THE_WIRE {
        gate.passed();
        browser.visit(path).await;
        let passed = gate.passed();
        let passed: Vec<_> = passed.iter().map(|(name, sent, answered)| (name.as_str(), *sent, *answered)).collect();
        assert_eq!((passed.as_slice(), monitor.scripted()), (*sent, *scripted), "{path}");
    }
}

#[tokio::test]
async fn a_rotation_costs_one_more_and_the_first_use_of_the_new_token_another() {
    let mut scene = Scene::new(Config::builder()).await;
    scene.costs("/rotate", &READ_AND_CHANGE).await;
    // the new token is confirmed: from now on the grace of the old one runs
    scene.costs("/read", &READ_AND_CHANGE).await;
    scene.costs("/read", &READ).await;
}

#[tokio::test]
async fn a_visitor_without_a_session_costs_nothing_until_something_is_written() {
    let mut scene = Scene::new(Config::builder()).await;
    for path in ["/static", "/read", "/peek", "/idle", "/rotate", "/sign_out"] {
        scene.browser = scene.browser.stranger();
        scene.costs(path, &NOTHING).await;
    }
    for path in ["/write", "/count", "/set/100", "/commit_twice"] {
        scene.browser = scene.browser.stranger();
        scene.costs(path, &["EVALSHA"]).await;
    }
    scene.browser = scene.browser.stranger();
    scene.costs("/set_and_count", &["EVALSHA", "EVALSHA"]).await;
}

#[tokio::test]
async fn a_cookie_that_is_no_token_costs_nothing_and_an_unknown_token_one_look() {
    let mut scene = Scene::new(Config::builder()).await;
    scene.browser.carry("__Host-sid", "malformed");
    scene.costs("/read", &NOTHING).await;
    scene.costs("/sign_out", &NOTHING).await;
    scene.browser.carry("__Host-sid", &format!("{}.{}", "A".repeat(22), "A".repeat(43)));
    scene.costs("/read", &READ).await;
    assert_eq!(scene.browser.get("/sign_out").await.status, 200);
    assert_eq!(scene.monitor.commands(), [&READ[..], &["EVALSHA"]].concat(), "whether its session is gone is asked");
}

#[tokio::test]
async fn a_touch_costs_one_more_once_per_interval_and_not_once_per_request() {
    let config = Config::builder().idle_timeout(Duration::from_secs(30)).touch_interval(Duration::from_secs(1));
    let mut scene = Scene::new(config).await;
    tokio::time::sleep(Duration::from_millis(1001)).await;
    scene.costs("/peek", &READ).await;
    scene.costs("/read", &READ_AND_CHANGE).await;
    // on a machine this busy a second may pass between any two requests: count what each touch allows
    let begin = std::time::Instant::now();
    let mut touches = 0;
    for _ in 0..20 {
        scene.browser.visit("/read").await;
        touches += scene.monitor.commands().iter().filter(|name| *name == "EVALSHA").count();
    }
    assert!(touches <= begin.elapsed().as_secs() as usize + 1, "{touches} touches in {:?}", begin.elapsed());
}

#[tokio::test]
async fn a_touch_interval_of_zero_costs_one_more_on_every_read() {
    let mut scene = Scene::new(Config::builder().touch_interval(Duration::ZERO)).await;
    for _ in 0..3 {
        scene.costs("/read", &READ_AND_CHANGE).await;
    }
    scene.costs("/peek", &READ).await;
    scene.costs("/write", &READ_AND_CHANGE).await;
    scene.costs("/sign_out", &READ_AND_CHANGE).await;
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_told_them_again_and_the_change_is_made_once() {
    let mut scene = Scene::new(Config::builder()).await;
    scene.costs("/count", &READ_AND_CHANGE).await;
    redis::cmd("SCRIPT").arg("FLUSH").exec(&mut scene.place.server().client()).unwrap();
    scene.monitor.commands();
    scene.costs("/count", &["HGETALL", "EVALSHA", "SCRIPT", "EVALSHA"]).await;
    scene.costs("/count", &READ_AND_CHANGE).await;
    let token = scene.browser.token().unwrap();
    let key = format!("session:{}", token.split('.').next().unwrap());
    let count: i64 = redis::cmd("HGET").arg(key).arg("count").query(&mut scene.place.server().client()).unwrap();
    assert_eq!(count, 3);
}

#[tokio::test]
async fn a_handler_and_its_middleware_load_once() {
    let mut scene = Scene::new(Config::builder()).await;
    let sessions = scene.place.sessions();
    let twice = async |first: Session, second: Session| {
        let both = (first.get(NAME)?, second.get(NAME)?);
        Ok::<_, Error>(format!("{both:?}"))
    };
    scene.browser = scene.browser.at(Router::new().route("/twice", get(twice)).layer(sessions.layer()));
    scene.costs("/twice", &READ).await;
}

/// A server's front door that lets nothing out between an HGETALL that came in and a TIME.
fn door(server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(("127.0.0.1", server)).unwrap());
            let (mut answers, mut out) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            let is_open = Arc::new(AtomicBool::new(true));
            let opens = is_open.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = answers.read(&mut buffer) {
                    while !opens.load(Ordering::SeqCst) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    if out.write_all(&buffer[..n]).is_err() {
                        return;
                    }
                }
            });
            let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
            while let Ok(n @ 1..) = client.read(&mut buffer) {
                seen.extend_from_slice(&buffer[..n]);
                let has = |command: &[u8]| seen.windows(command.len()).any(|window| window == command);
                is_open.store(!has(b"HGETALL") || has(b"TIME"), Ordering::SeqCst);
                server.write_all(&buffer[..n]).unwrap();
            }
            is_open.store(true, Ordering::SeqCst);
        }
    });
    port
}

#[tokio::test]
async fn the_time_is_asked_for_in_the_flight_of_a_read_and_does_not_wait_for_its_answer() {
    let place = Place::redis().await;
    let browser = Browser::new(app(&place.sessions()));
    browser.visit("/write").await;
    let port = door(place.server().port());
    // a client that waited would wait for ever
    let mut waits = TcpStream::connect(("127.0.0.1", port)).unwrap();
    waits.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    waits.write_all(b"HGETALL nothing\r\n").unwrap();
    assert!(waits.read(&mut [0; 16]).is_err());
    drop(waits);

    let redis = Redis::builder(format!("redis://127.0.0.1:{port}")).timeout(Duration::from_secs(20)).connect().await;
    let config = Config::builder().store_timeout(Duration::from_secs(20)).build().unwrap();
    let browser = browser.at(app(&Sessions::new(redis.unwrap(), config)));
    assert_eq!(browser.visit("/read").await.body, "andrew");
}

#[tokio::test]
async fn the_servers_time_is_asked_for_at_most_once_a_second() {
    let mut scene = Scene::new(Config::builder()).await;
    let begin = std::time::Instant::now();
    let mut asked = 0;
    for _ in 0..200 {
        scene.browser.visit("/write").await;
        asked += scene.monitor.times();
    }
    assert!(asked <= begin.elapsed().as_secs() as usize + 1, "{asked} times in {:?}", begin.elapsed());
    tokio::time::sleep(Duration::from_millis(1000)).await;
    scene.browser.visit("/read").await;
    assert_eq!(scene.monitor.times(), 1, "a clock that was set is noticed");
}

#[tokio::test]
async fn both_protocols_of_redis_tell_the_same_and_the_newer_one_is_spoken_where_there_is_one() {
    let unknown = ["--rename-command", "HELLO", ""];
    let cases: [(&[&str], &str, bool); 4] =
        [(&[], "", true), (&[], "?protocol=resp3", true), (&[], "?protocol=resp2", false), (&unknown, "", false)];
    for (settings, query, is_newer) in cases {
        let server = RedisServer::start_with(settings);
        let _: () = server.ask(&["ACL", "SETUSER", "app", "on", ">hunter2", "~*", "+@all"]);
        let url = format!("{}{query}", server.url());
        let builder = Redis::builder(url).username("app").password("hunter2").timeout(Duration::from_secs(20));
        let config = Config::builder().store_timeout(Duration::from_secs(20)).build().unwrap();
        let browser = Browser::new(app(&Sessions::new(builder.connect().await.unwrap(), config)));
        for path in ["/write", "/count", "/set_and_count", "/rotate", "/read"] {
            browser.visit(path).await;
        }
        assert_eq!(browser.visit("/read").await.body, "andrew");
        browser.visit("/sign_out").await;
        assert_eq!(browser.token(), None);
        let greetings = server.info("commandstats", "cmdstat_hello");
        assert_eq!(!greetings.is_empty(), is_newer, "{settings:?} {query}: {greetings}");
    }
}
