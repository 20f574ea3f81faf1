//! Sessions outside a request: in jobs, in other transports, and in streams that go on after their response's head.

#[path = "../support/mod.rs"]
mod support;

mod after_response;
mod costs;
mod ended;
mod jobs;
mod late_answers;
mod lost_connection;
mod model;
mod on_actix;
mod sockets;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use cloakroom::store::{Embedded, Memory, NearCache, Redis};
use cloakroom::{Config, ConfigBuilder, Error, Field, LiveSession, Session, Sessions};
use support::{Browser, RedisServer};

const NAME: Field<String> = Field::new("name");
const COUNT: Field<i64> = Field::new("count");

/// Longer than any test: who hears of something within it was told, and has not asked.
const NEVER: Duration = Duration::from_secs(24 * 3600);
/// How many sessions a user may have.
const MOST_SESSIONS: usize = 2;
/// A test that waits as long fails. The machine may be busy.
const PATIENT: Duration = Duration::from_secs(30);

/// Two servers of an application on one store.
struct World {
    name: &'static str,
    /// The server that has the streams.
    here: Sessions,
    elsewhere: Sessions,
    /// How often a stream asks. Never, where the store tells it.
    interval: Duration,
    /// The Redis server, if the sessions are in Redis.
    server: Option<RedisServer>,
    _dir: Option<tempfile::TempDir>,
}

fn config() -> ConfigBuilder {
    Config::builder().store_timeout(Duration::from_secs(20)).max_sessions_per_user(MOST_SESSIONS)
}

fn manager(store: impl cloakroom::store::Store) -> Sessions {
    Sessions::new(store, config().build().unwrap())
}

async fn redis(url: String, near: bool) -> Redis {
    let builder = Redis::builder(url).timeout(Duration::from_secs(20));
    // a connection that is silent on a busy machine shall not make a test fail that is about something else
    let near = near.then(|| NearCache::default().silence_limit(Duration::from_secs(30)));
    match near {
        Some(near) => builder.near_cache(near).connect().await.unwrap(),
        None => builder.connect().await.unwrap(),
    }
}

impl World {
    fn in_memory() -> World {
        let sessions = manager(Memory::new());
        let elsewhere = sessions.clone();
        World { name: "in memory", here: sessions, elsewhere, interval: NEVER, server: None, _dir: None }
    }

    fn embedded() -> World {
        let dir = tempfile::tempdir().unwrap();
        let sessions = manager(Embedded::open(dir.path().join("sessions")).unwrap());
        let elsewhere = sessions.clone();
        World { name: "embedded", here: sessions, elsewhere, interval: NEVER, server: None, _dir: Some(dir) }
    }

    async fn redis(near: bool) -> World {
        let server = RedisServer::start();
        let here = manager(redis(server.url(), near).await);
        let elsewhere = manager(redis(server.url(), false).await);
        let (name, interval) = match near {
            true => ("on Redis with a near cache", NEVER),
            false => ("on Redis", Duration::from_millis(50)),
        };
        World { name, here, elsewhere, interval, server: Some(server), _dir: None }
    }

    /// A visitor who has the same cookies at both servers, and what their streams hold at the first one.
    fn visitor(&self) -> Visitor {
        let held = Held::default();
        let here = Browser::new(app(&self.here, &held));
        let elsewhere = here.at(app(&self.elsewhere, &Held::default()));
        Visitor { here, elsewhere, held, interval: self.interval }
    }
}

async fn on_every_store(scenario: impl AsyncFn(World)) {
    for world in [World::in_memory(), World::embedded(), World::redis(false).await, World::redis(true).await] {
        eprintln!("{}:", world.name);
        scenario(world).await;
    }
}

type Held = Arc<Mutex<Option<LiveSession>>>;

struct Visitor {
    here: Browser,
    elsewhere: Browser,
    held: Held,
    interval: Duration,
}

impl Visitor {
    /// Opens a stream, and returns what its handler holds.
    async fn stream(&self) -> LiveSession {
        self.here.visit("/stream").await;
        self.held.lock().unwrap().take().expect("a stream").check_every(self.interval)
    }
}

fn app(sessions: &Sessions, held: &Held) -> Router {
    let held = held.clone();
    let stream = async move |session: Session| {
        *held.lock().unwrap() = Some(session.after_response().await?);
        Ok::<_, Error>(())
    };
    let show = async |session: Session| {
        Ok::<_, Error>(format!("{:?} {}", session.get(NAME)?.unwrap_or_default(), session.get(COUNT)?.unwrap_or(0)))
    };
    Router::new()
        .route("/stream", get(stream))
        .route("/show", get(show))
        .route("/write", get(async |session: Session| session.set(NAME, "andrew")))
        .route("/count", get(async |session: Session| session.increment(COUNT, 1).await.map(drop)))
        .route("/rotate", get(async |session: Session| session.rotate().await))
        .route("/elevate", get(async |session: Session| session.elevate().await))
        .route("/sign_in", get(async |session: Session| session.sign_in("andrew").await))
        .route("/sign_out", get(async |session: Session| session.sign_out().await))
        .layer(sessions.layer())
}

/// The answer of a future that must not take for ever.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENT, future).await.unwrap_or_else(|_| panic!("it did not happen: {what}"))
}
