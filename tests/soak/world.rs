//! An application of several servers over one place, its browsers, and whether all that they counted is right.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use cloakroom::store::operate::Inspect;
use cloakroom::{Config, Page, SessionId, Sessions, metrics as named};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::app::app;
use crate::counted::{self, EVENTS, METRICS};
use crate::load::{BROWSERS, Client, LONGEST, Tally, USERS, patiently};
use crate::measured::Measurement;
use crate::place::{DISTURBANCES, Place};

pub(crate) const MANAGERS: usize = 3;
const MOST_SESSIONS: usize = 3;

pub(crate) struct World<P: Place> {
    place: P,
    stores: Vec<P::Store>,
    managers: Vec<Sessions>,
    clients: Vec<Client>,
    tally: Arc<Tally>,
    before: Counted,
}

/// What the process had counted so far.
#[derive(Debug, Clone, Copy)]
struct Counted {
    created: u64,
    signed_in: u64,
}

impl Counted {
    fn now() -> Counted {
        Counted { created: EVENTS.created.load(Ordering::SeqCst), signed_in: EVENTS.signed_in.load(Ordering::SeqCst) }
    }
}

impl<P: Place> World<P> {
    pub(crate) async fn start() -> World<P> {
        std::sync::LazyLock::force(&METRICS);
        let place = P::start();
        let stores = place.open(0).await;
        let managers = managers(&stores);
        let tally = Arc::new(Tally::default());
        let client = |number| Client::new(number, Router::new(), tally.clone());
        let clients = (0..BROWSERS).map(client).collect();
        World { place, stores, managers, clients, tally, before: Counted::now() }
    }

    /// Every browser asks so many times, while something happens to what they ask.
    pub(crate) async fn load(&mut self, round: usize, requests: usize, pause: Duration) {
        if round > 0 && (P::IS_EXCLUSIVE || round.is_multiple_of(DISTURBANCES)) {
            self.open_again(round).await;
        }
        let apps: Vec<_> = self.managers.iter().cloned().map(app).collect();
        let mut browsers = JoinSet::new();
        for (number, mut client) in self.clients.drain(..).enumerate() {
            client.at(apps[(number + round) % MANAGERS].clone(), round);
            browsers.spawn(async move {
                let mut clock = tokio::time::interval(pause.max(Duration::from_nanos(1)));
                clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                for _ in 0..requests {
                    clock.tick().await;
                    client.step().await;
                }
                client
            });
        }
        tokio::time::sleep(pause * requests as u32 / 2).await;
        tokio::task::block_in_place(|| self.place.disturb(round));
        while let Some(client) = browsers.join_next().await {
            self.clients.push(client.expect("no browser has seen what it must not"));
        }
        self.clients.sort_by_key(Client::number);
    }

    async fn open_again(&mut self, round: usize) {
        self.clients.iter_mut().for_each(Client::leave);
        self.managers.clear();
        self.stores.clear();
        ended().await;
        self.stores = self.place.open(round).await;
        self.managers = managers(&self.stores);
    }

    /// Whether browsers, lists, the store, events and metrics agree.
    pub(crate) async fn check(&mut self) {
        let mut signed_in = Vec::new();
        for client in &mut self.clients {
            let seen = client.look().await;
            signed_in.extend(seen.id.zip(seen.user));
        }
        let names: BTreeSet<_> = self.clients.iter().map(|client| client.user().to_owned()).collect();
        assert_eq!(names.len(), USERS);
        let mut unknown = 0;
        for name in names {
            let page = Page { offset: 0, limit: 1000 };
            let devices = patiently(async || self.managers[0].devices(name.as_str(), page).await).await;
            assert!(devices.len() <= MOST_SESSIONS, "{name} is signed in {} times", devices.len());
            let listed: BTreeSet<_> = devices.iter().map(|device| device.id.to_string()).collect();
            let seen: BTreeSet<_> =
                signed_in.iter().filter(|(_, user)| *user == name).map(|(id, _)| id.clone()).collect();
            // what expired after the browser had looked is not listed, which a busy machine makes possible
            for id in seen.difference(&listed) {
                assert!(!self.lives(id).await, "{name}'s session {id} is in use and not listed");
            }
            unknown += listed.difference(&seen).count();
        }
        let left = self.tally.left();
        assert!(unknown <= left, "{unknown} sessions are listed that no browser has, and only {left} were left");
        self.check_counts().await;
        assert_eq!(self.place.immortal_keys(), Vec::<String>::new(), "no key without an expiry");
    }

    async fn check_counts(&self) {
        for (name, event) in [
            (named::CREATED, &EVENTS.created),
            (named::SIGN_INS, &EVENTS.signed_in),
            (named::ROTATIONS, &EVENTS.rotated),
            (named::REVOKES, &EVENTS.ended),
            (named::EVICTED, &EVENTS.evicted),
        ] {
            until_equal(name, || METRICS.total(name), event).await;
        }
        let unsure = self.tally.dropped.load(Ordering::SeqCst) + self.tally.failed.load(Ordering::SeqCst);
        let now = Counted::now();
        for (what, told, seen) in [
            ("created", now.created - self.before.created, &self.tally.created),
            ("signed in", now.signed_in - self.before.signed_in, &self.tally.signed_in),
        ] {
            let seen = seen.load(Ordering::SeqCst);
            let range = seen.saturating_sub(unsure)..=seen + unsure;
            assert!(
                range.contains(&told),
                "{told} were {what}, and browsers know of {seen} and are unsure of {unsure}"
            );
        }
    }

    async fn lives(&self, id: &str) -> bool {
        let id = SessionId::parse(id).expect("an id");
        let terms = self.managers[0].config().terms();
        patiently(async || self.stores[0].find(&id, terms).await).await.is_some()
    }

    /// How many sessions the store has.
    async fn sessions(&self) -> u64 {
        let (mut ids, mut cursor) = (BTreeSet::new(), None);
        loop {
            let part = patiently(async || self.stores[0].scan(cursor.as_deref(), 1000).await).await;
            ids.extend(part.ids.iter().map(SessionId::to_string));
            cursor = part.next;
            if cursor.is_none() {
                break;
            }
        }
        let mut live = 0;
        for id in &ids {
            live += u64::from(self.lives(id).await);
        }
        let most = (BROWSERS + self.tally.left()) as u64;
        assert!(live <= most, "{live} sessions live, and there can be {most} at most");
        live
    }

    pub(crate) async fn measure(&self) -> Measurement {
        let sessions = self.sessions().await;
        let now = || Measurement::now(sessions, self.place.connections(), self.place.bytes_on_disk());
        let mut settled = now();
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            settled = settled.settled(&now());
        }
        settled
    }

    pub(crate) fn summary(&self) -> String {
        let of = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        let total = |name| METRICS.total(name);
        format!(
            "{} requests, {} of them dropped, {} failed; {} sessions created, {} sign-ins, {} evictions, {} rotations, \
             {} ended on purpose, {} read out of a near cache",
            of(&self.tally.requests),
            of(&self.tally.dropped),
            of(&self.tally.failed),
            total(named::CREATED),
            total(named::SIGN_INS),
            total(named::EVICTED),
            total(named::ROTATIONS),
            total(named::REVOKES),
            total(named::NEAR_HITS),
        )
    }
}

/// Waits until nothing of what was closed runs any more.
async fn ended() {
    let begin = Instant::now();
    while let tasks @ 1.. = Handle::current().metrics().num_alive_tasks() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{tasks} tasks outlive what they were started for");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The hook is told a moment later than the recorder.
async fn until_equal(name: &str, total: impl Fn() -> u64, event: &AtomicU64) {
    let begin = Instant::now();
    while total() != event.load(Ordering::SeqCst) {
        assert!(begin.elapsed() < Duration::from_secs(30), "{name}: {} and {event:?} do not agree", total());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// One for each server of the application, with settings of its own.
fn managers<S: cloakroom::store::Store + Clone>(stores: &[S]) -> Vec<Sessions> {
    let seconds = Duration::from_secs;
    let usual = || {
        Config::builder()
            .idle_timeout(seconds(20))
            .absolute_lifetime(LONGEST)
            .rotation_grace(seconds(2))
            .max_sessions_per_user(MOST_SESSIONS)
            .store_timeout(seconds(20))
            .on_event(counted::hear)
    };
    let configs = [
        usual().rotate_every(seconds(5)),
        usual().idle_timeout(seconds(10)).touch_interval(seconds(1)),
        usual().absolute_lifetime(seconds(30)).rotate_every(seconds(1)),
    ];
    let built = configs.into_iter().map(|config| config.build().expect("the settings do not contradict each other"));
    stores.iter().cloned().zip(built).map(|(store, config)| Sessions::new(store, config)).collect()
}
