//! A network that is bad in every way, under the tower layer and under the bare store.

use std::time::{Duration, Instant};

use axum::Router;
use axum::http::header;
use axum::routing::get;
use cloakroom::store::Redis;
use cloakroom::{Config, Error, Field, Session, Sessions};
use tokio::task::JoinSet;

use crate::support::{Browser, FaultProxy, RedisServer, Trouble};
use crate::{Kept, PATIENT, SHORT};

const NAME: Field<String> = Field::new("name");
const VISITS: Field<i64> = Field::new("visits");

const TROUBLES: [Trouble; 7] = [
    Trouble::Drop,
    Trouble::Delay(Duration::from_millis(40)),
    Trouble::Delay(Duration::from_secs(60)),
    Trouble::CutInReply,
    Trouble::LoseReplies,
    Trouble::BlackHole,
    Trouble::Drip(Duration::from_millis(20)),
];

/// The most a request may wait for the store, as it is configured below: two questions, each with its time-out.
const CONFIGURED: Duration = Duration::from_millis(500);

fn app(sessions: &Sessions) -> Router {
    Router::new()
        .route(
            "/hello/{name}",
            get(async |session: Session, axum::extract::Path(name): axum::extract::Path<String>| {
                session.set(VISITS, &0)?;
                session.set(NAME, &name)
            }),
        )
        .route("/me", get(async |session: Session| Ok::<_, Error>(session.get(NAME)?.unwrap_or("nobody".to_owned()))))
        .route(
            "/visit",
            get(async |session: Session| {
                let visits = session.increment(VISITS, 1).await?;
                Ok::<_, Error>(format!("{} {visits}", session.get(NAME)?.unwrap_or("nobody".to_owned())))
            }),
        )
        .route("/plain", get(async || "no session needed"))
        .layer(sessions.layer())
}

/// What became of one browser's requests.
#[derive(Default)]
struct Tally {
    answered: u64,
    away: u64,
    /// How many visits were counted for sure, and how many perhaps.
    counted: u64,
    perhaps: u64,
    longest: Duration,
}

/// Visits until told to stop. Every answer is its own, or that the store is away.
async fn roam(browser: Browser, name: String, until: Instant) -> Tally {
    let mut tally = Tally::default();
    for round in 0.. {
        if Instant::now() > until {
            break;
        }
        let path = if round % 2 == 0 { "/me" } else { "/visit" };
        let begin = Instant::now();
        let answer = browser.get(path).await;
        tally.longest = tally.longest.max(begin.elapsed());
        assert_eq!(answer.set_cookie(), None, "{name} is told nothing about its cookie");
        match answer.status.as_u16() {
            200 => {
                assert_eq!(answer.body.split(' ').next(), Some(name.as_str()), "it is somebody else's session");
                tally.answered += 1;
                tally.counted += u64::from(path == "/visit");
            }
            503 => {
                assert!(answer.headers.contains_key(header::RETRY_AFTER));
                tally.away += 1;
                tally.perhaps += u64::from(answer.error.as_ref().is_some_and(Error::is_unknown));
            }
            other => panic!("{name} was answered {other}: {}", answer.body),
        }
        assert_eq!(browser.get("/plain").await.body, "no session needed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_any_trouble_every_visitor_sees_their_own_session_or_that_the_store_is_away() {
    let server = RedisServer::start();
    let proxy = FaultProxy::before(server.port()).await;
    let store = Redis::builder(proxy.url()).timeout(CONFIGURED).connect().await.unwrap();
    let sessions = Sessions::new(store, Config::builder().store_timeout(CONFIGURED).build().unwrap());
    let app = app(&sessions);
    let mut visitors = Vec::new();
    for number in 0..16 {
        let (browser, name) = (Browser::new(app.clone()), format!("visitor-{number}"));
        browser.visit(&format!("/hello/{name}")).await;
        visitors.push((browser, name, Tally::default()));
    }
    for trouble in TROUBLES {
        let until = Instant::now() + Duration::from_millis(1500);
        let mut roaming = JoinSet::new();
        for (browser, name, tally) in visitors {
            let roam = roam(browser.clone(), name.clone(), until);
            roaming.spawn(async move { (browser, name, add(tally, roam.await)) });
        }
        let hits = proxy.hits();
        for again in [trouble, Trouble::None, trouble] {
            proxy.set(again);
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        proxy.set(Trouble::None);
        visitors = roaming.join_all().await;
        assert!(proxy.hits() > hits, "{trouble:?} was met");
        // it works again
        for (browser, name, _) in &visitors {
            until_well(browser, name).await;
        }
    }
    let mut all = Tally::default();
    for (browser, name, tally) in visitors {
        let visit = browser.visit("/visit").await;
        let visits: u64 = visit.body.split(' ').nth(1).unwrap().parse().unwrap();
        let sure = tally.counted + 1;
        assert!(
            (sure..=sure + tally.perhaps).contains(&visits),
            "{name}: {visits}, {sure} and {} perhaps",
            tally.perhaps
        );
        all = add(all, tally);
    }
    eprintln!(
        "{} answered, {} away, {} visits counted, {} perhaps, longest {:?} of {:?}",
        all.answered,
        all.away,
        all.counted,
        all.perhaps,
        all.longest,
        2 * CONFIGURED
    );
    assert!(all.answered > 100 && all.away > 100, "good and bad was met");
    // a request asks the store twice; generous for a busy machine, and far below what hangs
    assert!(all.longest < 4 * 2 * CONFIGURED, "{:?}", all.longest);
}

fn add(one: Tally, other: Tally) -> Tally {
    Tally {
        answered: one.answered + other.answered,
        away: one.away + other.away,
        counted: one.counted + other.counted,
        perhaps: one.perhaps + other.perhaps,
        longest: one.longest.max(other.longest),
    }
}

async fn until_well(browser: &Browser, name: &str) {
    for _ in 0..1000 {
        let answer = browser.get("/me").await;
        if answer.status.is_success() {
            assert_eq!(answer.body, name);
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the store did not find its server again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_that_were_lost_repeat_no_change() {
    let server = RedisServer::start();
    let proxy = FaultProxy::before(server.port()).await;
    let kept = Kept::on(Redis::builder(proxy.url()).timeout(PATIENT)).await;
    let presented = kept.session().await;
    let (mut asked, mut made) = (kept.count(&presented).await.unwrap(), 0);
    for round in 0..40 {
        let loaded = kept.until_it_is_loaded(&presented).await;
        proxy.set(if round % 2 == 0 { Trouble::LoseReplies } else { Trouble::CutInReply });
        let error = kept.count_in(&loaded, &presented).await.expect_err("its answer was lost");
        asked += u64::from(error.is_unknown());
        proxy.set(Trouble::None);
        kept.until_it_answers(&presented).await;
        // a connection may break with a question that has not arrived: that one was not made at all
        made = kept.counter(&presented).await;
        assert!(made <= asked, "{made} were made, {asked} were asked for");
    }
    assert!(made > 20, "the changes themselves were sent: {made}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_neither_queue_nor_wait_while_the_server_is_away() {
    const MANY: usize = 3000;
    let server = RedisServer::start();
    let kept = Kept::on(Redis::builder(server.url()).timeout(SHORT)).await;
    let presented = kept.session().await;
    server.pause();
    let begin = Instant::now();
    for first in [true, false] {
        let mut calls = JoinSet::new();
        for _ in 0..MANY {
            let kept = kept.clone();
            calls.spawn(async move { kept.load(&presented).await.map(drop).unwrap_err() });
        }
        for error in calls.join_all().await {
            // those who came first have waited for an answer; later nothing is sent any more
            assert!(first || error.to_string().contains("is not connected"), "{error}");
        }
    }
    // one time-out for all, not one after the other
    assert!(begin.elapsed() < SHORT * 10, "{:?}", begin.elapsed());
    server.resume();
    kept.until_it_answers(&presented).await;
    // of those that were given up the server has kept nobody waiting
    assert_eq!(server.info("clients", "blocked_clients"), "0");
    assert!(server.info("clients", "connected_clients").parse::<usize>().unwrap() < 20);
    assert!(kept.lives(&presented).await);
}
