//! A process that dies between any two steps of a sign-in or a revocation.
//!
//! Each is run again and again, and dies one command later each time, in three ways: the command never arrives; it is done,
//! but the process never hears of it; the future is dropped while the command is on its way, and it arrives late.

mod support;

use std::time::Duration;

use cloakroom::conformance::{mint, new_session, with_new_secret};
use cloakroom::store::{Outcome, Redis, Store, Target};
use cloakroom::{
    OnLimit, Page, UserId,
    store::{Change, Credentials, Refusal, SignIn, Terms},
};
use support::{Cut, Gate, RedisServer, Scene, Watcher};

const N: usize = 3;
/// More than any verb here has commands.
const MANY: usize = 40;

fn anna() -> UserId {
    UserId::try_from("anna").unwrap()
}

/// A server, a store that goes through a gate to it, and one that does not.
struct Stand {
    server: RedisServer,
    gate: Gate,
    direct: Redis,
    client: redis::Connection,
    terms: Terms,
}

impl Stand {
    async fn new() -> Stand {
        let server = RedisServer::start();
        let gate = Gate::before(server.port()).await;
        let direct = connect(server.url()).await;
        let client = server.client();
        let stand = Stand { server, gate, direct, client, terms: Terms::default() };
        // the server knows all scripts: what follows has one command for each step
        for on_limit in [OnLimit::RefuseNew, OnLimit::EvictOldest] {
            let new = sign_in(1, on_limit);
            for _ in 0..2 {
                stand.signed_in(&new).await;
            }
        }
        stand.direct.revoke(&Target::AllOf(anna())).await.unwrap();
        stand
    }

    async fn visitor(&self) -> Credentials {
        let presented = mint();
        self.direct.create(&new_session(presented, Default::default()), &self.terms).await.unwrap();
        presented
    }

    /// A new session in which Anna has tried to sign in.
    async fn signed_in(&self, new: &SignIn) -> Credentials {
        let visitor = self.visitor().await;
        let rotated = with_new_secret(&visitor);
        self.direct.apply(&visitor, &bind(&rotated, new), &self.terms).await.unwrap();
        rotated
    }

    async fn listed(&self) -> usize {
        self.direct.list(&anna(), Page { offset: 0, limit: 1000 }, &self.terms).await.unwrap().len()
    }

    async fn opens(&self, presented: &Credentials) -> bool {
        self.direct.load(presented, &self.terms).await.unwrap().live().is_some()
    }

    fn look(&mut self) -> Scene {
        Scene::of_redis(&mut self.client)
    }

    fn forget_everything(&mut self) {
        redis::cmd("FLUSHALL").exec(&mut self.client).unwrap();
    }

    /// Runs a verb that dies at the command after this many. `None` once it does not have as many.
    async fn dies_at<T>(
        &self,
        commands: usize,
        cut: Cut,
        verb: impl AsyncFnOnce(&Redis) -> Result<T, cloakroom::store::StoreError>,
    ) -> Option<()> {
        let store = connect(self.gate.url()).await;
        self.gate.cut_after(commands, cut);
        if cut == Cut::Hold {
            let died = tokio::select! {
                _ = verb(&store) => false,
                () = self.gate.until_cut() => true,
            };
            self.gate.open();
            // what was on its way has arrived when what came after it is answered
            store.load(&mint(), &self.terms).await.unwrap();
            return died.then_some(());
        }
        let answer = verb(&store).await;
        let died = self.gate.was_cut();
        self.gate.open();
        assert_eq!(answer.is_err(), died, "whoever got no answer must not believe that it is done");
        died.then_some(())
    }
}

async fn connect(url: String) -> Redis {
    Redis::builder(url).timeout(Duration::from_secs(60)).connect().await.unwrap()
}

fn sign_in(max_sessions: usize, on_limit: OnLimit) -> SignIn {
    SignIn::new(anna(), max_sessions, on_limit)
}

fn bind(rotated: &Credentials, new: &SignIn) -> Change {
    Change::SignIn { new: new.clone(), secret_hash: rotated.secret_hash.unwrap() }
}

/// What a sign-in that died finds: how many of Anna's sessions, with or without some that have ended, and who signs in.
#[derive(Clone, Copy)]
struct Before {
    bound: usize,
    ghosts: usize,
    /// The first of the bound ones signs in again, instead of a visitor.
    again: bool,
}

/// Dies at each step in each way; how many deaths that were.
async fn sign_in_dies_everywhere(before: Before, new: SignIn, expected: impl Fn(&Outcome) -> bool) -> usize {
    let mut stand = Stand::new().await;
    let unlimited = sign_in(100, OnLimit::EvictOldest);
    let mut deaths = 0;
    for cut in [Cut::BeforeCommand, Cut::BeforeReply, Cut::Hold] {
        for commands in 0..MANY {
            stand.forget_everything();
            let mut watcher = Watcher::with_limit(new.max_sessions.max(before.bound));
            let mut bound = Vec::new();
            for _ in 0..before.bound {
                bound.push(stand.signed_in(&unlimited).await);
            }
            for _ in 0..before.ghosts {
                let ghost = stand.signed_in(&unlimited).await;
                stand.direct.revoke(&Target::Session(ghost.id)).await.unwrap();
            }
            let old = if before.again { bound[0] } else { stand.visitor().await };
            let rotated = with_new_secret(&old);
            let change = bind(&rotated, &new);
            watcher.look(stand.look()).unwrap();

            let terms = stand.terms;
            // a request has loaded its session before it signs in
            let loaded = stand.direct.load(&old, &terms).await.unwrap().live().unwrap();
            let sign_in = async |store: &Redis| store.apply_to(&loaded, &old, &change, &terms).await;
            let died = stand.dies_at(commands, cut, sign_in).await;

            let at = format!("{cut:?} after {commands} commands");
            let scene = stand.look();
            watcher.look(scene.clone()).unwrap_or_else(|wrong| panic!("{at}: {wrong}\n{scene:#?}"));
            // asked again, it settles
            let answer = stand.direct.apply(&old, &change, &terms).await.unwrap();
            assert!(expected(&answer), "{at}: {answer:?}");
            watcher.look(stand.look()).unwrap_or_else(|wrong| panic!("{at}, asked again: {wrong}"));
            let is_done = matches!(answer, Outcome::Done { .. });
            assert_eq!((stand.opens(&rotated).await, stand.opens(&old).await), (is_done, !is_done), "{at}");
            assert_eq!(stand.listed().await, stand.look().alive("anna"), "{at}");
            if new.on_limit == OnLimit::EvictOldest {
                assert!(stand.look().alive("anna") <= new.max_sessions, "{at}");
            }
            // and the next one finds a limit that holds
            let next = stand.signed_in(&new).await;
            watcher.look(stand.look()).unwrap_or_else(|wrong| panic!("{at}, and then another: {wrong}"));
            assert_eq!(stand.listed().await, stand.look().alive("anna"), "{at}");
            let let_in = stand.opens(&next).await;
            assert!(let_in || new.on_limit == OnLimit::RefuseNew, "{at}");
            if died.is_none() {
                break;
            }
            deaths += 1;
        }
    }
    drop(stand.server);
    deaths
}

fn is_done(answer: &Outcome) -> bool {
    matches!(answer, Outcome::Done { .. })
}

fn is_refused(answer: &Outcome) -> bool {
    *answer == Outcome::Refused(Refusal::LimitReached)
}

/// The index, and the session: two commands.
const TWO_STEPS: usize = 3 * 2;

#[tokio::test]
async fn a_sign_in_within_the_limit_may_die_anywhere() {
    for on_limit in [OnLimit::EvictOldest, OnLimit::RefuseNew] {
        for again in [false, true] {
            let before = Before { bound: N - 1, ghosts: 0, again };
            let deaths = sign_in_dies_everywhere(before, sign_in(N, on_limit), is_done).await;
            assert_eq!(deaths, TWO_STEPS);
        }
    }
}

#[tokio::test]
async fn a_sign_in_that_evicts_may_die_anywhere() {
    let before = Before { bound: N, ghosts: 0, again: false };
    let deaths = sign_in_dies_everywhere(before, sign_in(N, OnLimit::EvictOldest), is_done).await;
    // enlisted, N + 1 looked for and the new one judged, chosen, one ended, bound
    assert_eq!(deaths, 3 * (1 + (N + 2) + 1 + 1 + 1));
}

#[tokio::test]
async fn a_sign_in_that_evicts_several_may_die_anywhere() {
    let before = Before { bound: N + 2, ghosts: 1, again: false };
    let deaths = sign_in_dies_everywhere(before, sign_in(N, OnLimit::EvictOldest), is_done).await;
    assert_eq!(deaths, 3 * (1 + (N + 5) + 1 + N + 1));
}

#[tokio::test]
async fn a_sign_in_that_is_refused_may_die_anywhere() {
    for again in [false, true] {
        let before = Before { bound: if again { N + 1 } else { N }, ghosts: 0, again };
        // the oldest of too many has its place; a new one has none
        let expected = if again { is_done } else { is_refused };
        let deaths = sign_in_dies_everywhere(before, sign_in(N, OnLimit::RefuseNew), expected).await;
        assert_eq!(deaths, 3 * (1 + (N + 2) + 1 + usize::from(again)));
    }
}

#[tokio::test]
async fn a_sign_in_among_ghosts_may_die_anywhere() {
    for on_limit in [OnLimit::EvictOldest, OnLimit::RefuseNew] {
        let before = Before { bound: N - 1, ghosts: 2, again: false };
        let deaths = sign_in_dies_everywhere(before, sign_in(N, on_limit), is_done).await;
        // room is found where the ghosts were
        assert_eq!(deaths, 3 * (1 + (N + 3) + 1 + 1));
    }
}

/// Dies at each step in each way, where Anna has four sessions, one that is not bound yet and one that has ended.
async fn revoke_dies_everywhere(target: impl Fn(&[Credentials]) -> Target, spared: &[usize]) -> usize {
    let mut stand = Stand::new().await;
    let unlimited = sign_in(100, OnLimit::EvictOldest);
    let mut deaths = 0;
    for cut in [Cut::BeforeCommand, Cut::BeforeReply, Cut::Hold] {
        for commands in 0..MANY {
            stand.forget_everything();
            let mut watcher = Watcher::default();
            let mut bound = Vec::new();
            for _ in 0..4 {
                bound.push(stand.signed_in(&unlimited).await);
            }
            let ghost = stand.signed_in(&unlimited).await;
            stand.direct.revoke(&Target::Session(ghost.id)).await.unwrap();
            // its sign-in has died before it was bound
            let visitor = stand.visitor().await;
            let change = bind(&with_new_secret(&visitor), &unlimited);
            let terms = stand.terms;
            let died = async |store: &Redis| store.apply(&visitor, &change, &terms).await;
            stand.dies_at(1, Cut::BeforeCommand, died).await.unwrap();
            watcher.look(stand.look()).unwrap();

            let target = target(&bound);
            let died = stand.dies_at(commands, cut, async |store| store.revoke(&target).await).await;

            let at = format!("{target:?}, {cut:?} after {commands} commands");
            let scene = stand.look();
            watcher.look(scene.clone()).unwrap_or_else(|wrong| panic!("{at}: {wrong}\n{scene:#?}"));
            // asked again, the rest ends, and each is counted once
            let left = (0..4).filter(|i| !spared.contains(i) && scene.sessions.contains_key(bound[*i].id.expose()));
            let left = left.count() as u64;
            assert_eq!(stand.direct.revoke(&target).await.unwrap(), left, "{at}");
            for (i, presented) in bound.iter().enumerate() {
                assert_eq!(stand.opens(presented).await, spared.contains(&i), "{at}, session {i}");
            }
            watcher.look(stand.look()).unwrap_or_else(|wrong| panic!("{at}, asked again: {wrong}"));
            assert_eq!(stand.listed().await, spared.len(), "{at}");
            if died.is_none() {
                break;
            }
            deaths += 1;
        }
    }
    deaths
}

#[tokio::test]
async fn signing_out_everywhere_may_die_anywhere() {
    let deaths = revoke_dies_everywhere(|_| Target::AllOf(anna()), &[]).await;
    // the index, six sessions that it names
    assert_eq!(deaths, 3 * (1 + 6));
}

#[tokio::test]
async fn signing_out_the_others_may_die_anywhere() {
    let deaths = revoke_dies_everywhere(|bound| Target::OthersOf(anna(), bound[1].id), &[1]).await;
    assert_eq!(deaths, 3 * (1 + 5));
}

#[tokio::test]
async fn signing_out_one_device_may_die_anywhere() {
    let deaths = revoke_dies_everywhere(|bound| Target::SessionOf(anna(), bound[2].id), &[0, 1, 3]).await;
    assert_eq!(deaths, 3);
    let deaths = revoke_dies_everywhere(|bound| Target::Session(bound[2].id), &[0, 1, 3]).await;
    assert_eq!(deaths, 3);
}

/// One bound session and a limit of one. A new sign-in has been written to the index, then the bound one signs in again and
/// dies after this many commands (or lives), then the new one goes on. What that came to, and how many live.
async fn overtaken(on_limit: OnLimit, dies_after: Option<usize>) -> (Outcome, usize) {
    let mut stand = Stand::new().await;
    let new = sign_in(1, on_limit);
    let bound = stand.signed_in(&new).await;
    let visitor = stand.visitor().await;
    let mut watcher = Watcher::with_limit(1);
    watcher.look(stand.look()).unwrap();

    let slow = Gate::before(stand.server.port()).await;
    let store = connect(slow.url()).await;
    slow.cut_after(1, Cut::Hold);
    let (change, terms) = (bind(&with_new_secret(&visitor), &new), stand.terms);
    let slow_sign_in = tokio::spawn(async move { store.apply(&visitor, &change, &terms).await });
    slow.until_cut().await;

    let change = bind(&with_new_secret(&bound), &new);
    let again = async |store: &Redis| store.apply(&bound, &change, &terms).await;
    match dies_after {
        Some(commands) => stand.dies_at(commands, Cut::BeforeCommand, again).await.unwrap(),
        None => drop(again(&stand.direct).await.unwrap()),
    }
    watcher.look(stand.look()).unwrap();
    slow.open();
    let answer = slow_sign_in.await.unwrap().unwrap();
    watcher.look(stand.look()).unwrap();
    (answer, stand.look().alive("anna"))
}

#[tokio::test]
async fn a_sign_in_that_is_overtaken_by_one_that_dies_is_not_one_too_many() {
    for dies_after in 1..4 {
        let (answer, alive) = overtaken(OnLimit::EvictOldest, Some(dies_after)).await;
        assert_eq!((answer, alive), (Outcome::Refused(Refusal::Gone), 1), "dies after {dies_after} commands");
    }
}

#[tokio::test]
async fn a_sign_in_that_is_being_counted_sees_one_that_signs_in_again() {
    for dies_after in [None, Some(1), Some(2), Some(3), Some(4)] {
        let (answer, alive) = overtaken(OnLimit::RefuseNew, dies_after).await;
        assert_eq!((answer, alive), (Outcome::Refused(Refusal::LimitReached), 1), "dies after {dies_after:?} commands");
    }
}
