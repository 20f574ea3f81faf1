//! After a revoke is acknowledged nobody is let in for longer than D, whatever happens to the connection or the server.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cloakroom::store::Credentials;
use cloakroom::store::{NearCache, Redis};

use super::until;
use crate::support::{FaultProxy, RedisServer, Trouble};
use crate::{Kept, PATIENT};

/// How long a connection may be silent: D.
pub(super) const D: Duration = Duration::from_millis(400);

/// One application server whose way to Redis can be bad, and an operator whose way is good.
struct Scene {
    server: RedisServer,
    proxy: FaultProxy,
    near: Kept,
    operator: Kept,
}

impl Scene {
    async fn start() -> Scene {
        let server = RedisServer::start();
        let proxy = FaultProxy::before(server.port()).await;
        let near = Kept::on(builder(proxy.url())).await;
        let operator = Kept::on(Redis::builder(server.url()).timeout(PATIENT)).await;
        Scene { server, proxy, near, operator }
    }
}

pub(super) fn builder(url: String) -> cloakroom::store::RedisBuilder {
    let settings = NearCache::default().silence_limit(D);
    Redis::builder(url).timeout(Duration::from_secs(2)).near_cache(settings)
}

/// Asks for sessions without a pause, and remembers when each was last let in.
pub(super) struct Recorder {
    near: Kept,
    begin: Instant,
    sessions: Vec<Credentials>,
    /// When the last question was asked that was answered with the session, in nanoseconds after the beginning.
    accepted: Vec<AtomicU64>,
    stop: AtomicBool,
    /// How many questions were answered with a session.
    answers: AtomicU64,
}

impl Recorder {
    pub(super) fn new(near: &Kept, sessions: Vec<Credentials>) -> Arc<Recorder> {
        let accepted = sessions.iter().map(|_| AtomicU64::new(0)).collect();
        let (stop, answers) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Recorder { near: near.clone(), begin: Instant::now(), sessions, accepted, stop, answers })
    }

    async fn record(self: Arc<Self>) {
        let mut let_in: Vec<usize> = (0..self.sessions.len()).collect();
        let mut refused = VecDeque::new();
        while !self.stop.load(Ordering::SeqCst) {
            // those that were refused once are asked for more rarely, or the others would wait for what must be asked of the server
            let again = refused.pop_front();
            let mut still = Vec::new();
            for at in let_in.into_iter().chain(again) {
                match self.asks_for(at).await {
                    true => still.push(at),
                    false => refused.push_back(at),
                }
            }
            let_in = still;
            tokio::task::yield_now().await;
        }
    }

    /// Whether it is let in. An answer may take as long as it takes: nobody is let in meanwhile.
    async fn asks_for(&self, at: usize) -> bool {
        let asked = self.begin.elapsed().as_nanos() as u64;
        let load = tokio::time::timeout(Duration::from_millis(5), self.near.load(&self.sessions[at]));
        let is_let_in = matches!(load.await, Ok(Ok(Some(_))));
        if is_let_in {
            self.accepted[at].store(asked, Ordering::SeqCst);
            self.answers.fetch_add(1, Ordering::SeqCst);
        }
        is_let_in
    }

    /// Revokes all while they are asked for: how long after its revoke was acknowledged one was let in at most.
    pub(super) async fn longest_after(self: Arc<Self>, revoke: impl AsyncFn(&Credentials) -> bool) -> Duration {
        let recording = tokio::spawn(self.clone().record());
        let all = self.sessions.len() as u64;
        until("everybody is let in", async || self.answers.load(Ordering::SeqCst) >= all).await;
        let mut acknowledged = Vec::new();
        for presented in &self.sessions {
            let is_done = revoke(presented).await;
            acknowledged.push(is_done.then(|| self.begin.elapsed()));
            // so that each is asked for several times meanwhile
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // whoever is let in for longer than promised is so by now
        tokio::time::sleep(2 * D).await;
        self.stop.store(true, Ordering::SeqCst);
        recording.await.unwrap();
        let let_in = self.accepted.iter().map(|at| Duration::from_nanos(at.load(Ordering::SeqCst)));
        let after = acknowledged.iter().zip(let_in).filter_map(|(done, last)| Some(last.saturating_sub((*done)?)));
        after.max().expect("revokes were acknowledged")
    }
}

/// How many sessions a round has, and how many rounds each kind of trouble gets: a short form, or with
/// `CLOAKROOM_REVOKES` some 10,000 revokes in each situation.
pub(super) fn rounds() -> (usize, usize) {
    match std::env::var("CLOAKROOM_REVOKES").ok().map(|all| all.parse::<usize>().expect("a number of revokes")) {
        None => (1, 200),
        Some(all) => (all.div_ceil(500), 500),
    }
}

/// Warm sessions are revoked one after the other; a quarter through, `trouble` comes, and goes with `heal`.
async fn nobody_is_let_in_too_long(what: &str, trouble: impl AsyncFn(&Scene), heal: impl AsyncFn(&Scene)) {
    let scene = Scene::start().await;
    let (rounds, count) = rounds();
    let (mut longest, mut answers) = (Duration::ZERO, 0);
    for _ in 0..rounds {
        let sessions = scene.operator.sessions(count).await;
        for presented in &sessions {
            until("the cache is warm", async || scene.near.load(presented).await.is_ok_and(|live| live.is_some()))
                .await;
        }
        let recorder = Recorder::new(&scene.near, sessions.clone());
        let revoked = AtomicU64::new(0);
        let after = recorder.clone().longest_after(async |presented| {
            if revoked.fetch_add(1, Ordering::SeqCst) == count as u64 / 4 {
                trouble(&scene).await;
            }
            scene.operator.revoke(presented).await.is_ok()
        });
        longest = longest.max(after.await);
        answers += recorder.answers.load(Ordering::SeqCst);
        heal(&scene).await;
        scene.near.until_it_answers(&sessions[0]).await;
        assert!(!scene.near.lives(&sessions[0]).await);
        assert_eq!(scene.server.immortal_keys(), Vec::<String>::new());
    }
    eprintln!("{what}: {} revokes, let in for {longest:?} at most, {answers} answers meanwhile", rounds * count);
    assert!(longest <= D, "{what}: somebody was let in {longest:?} after the revoke was acknowledged, D is {D:?}");
    assert!(answers >= count as u64, "{what}: nobody was let in at all, which proves nothing");
}

async fn under(trouble: Trouble) {
    let heal = async |scene: &Scene| scene.proxy.set(Trouble::None);
    nobody_is_let_in_too_long(&format!("{trouble:?}"), async |scene| scene.proxy.set(trouble), heal).await;
}

async fn nothing(_: &Scene) {}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_let_in_too_long_where_all_is_well() {
    nobody_is_let_in_too_long("all is well", nothing, nothing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_let_in_too_long_by_a_black_hole() {
    under(Trouble::BlackHole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_let_in_too_long_when_pushes_come_late() {
    under(Trouble::Delay(Duration::from_millis(30))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_let_in_too_long_when_pushes_do_not_come() {
    under(Trouble::Delay(Duration::from_secs(60))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_let_in_too_long_by_a_slow_drip() {
    under(Trouble::Drip(Duration::from_millis(3))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_let_in_too_long_when_connections_are_refused() {
    under(Trouble::Drop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_let_in_too_long_when_connections_are_cut_in_an_answer() {
    under(Trouble::CutInReply).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_let_in_too_long_when_answers_are_lost() {
    under(Trouble::LoseReplies).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_let_in_too_long_when_the_server_hangs_up() {
    let kill = async |scene: &Scene| {
        // every connection but that of whoever asks: also the operator's, which is made anew
        let killed: u64 = scene.server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        assert!(killed > 0);
    };
    nobody_is_let_in_too_long("CLIENT KILL", kill, nothing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_let_in_too_long_when_the_server_stands_still() {
    let stand_still = async |scene: &Scene| {
        scene.server.pause();
        tokio::time::sleep(D / 2).await;
        scene.server.resume();
    };
    nobody_is_let_in_too_long("SIGSTOP", stand_still, nothing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_let_in_too_long_when_the_database_is_emptied() {
    let empty = async |scene: &Scene| scene.server.ask::<()>(&["FLUSHALL"]);
    nobody_is_let_in_too_long("FLUSHALL", empty, nothing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_let_in_too_long_when_the_server_forgets_who_read_what() {
    let forget = async |scene: &Scene| scene.server.ask::<()>(&["CONFIG", "SET", "tracking-table-max-keys", "1"]);
    let remember = async |scene: &Scene| scene.server.ask::<()>(&["CONFIG", "SET", "tracking-table-max-keys", "0"]);
    nobody_is_let_in_too_long("a lost tracking table", forget, remember).await;
}
