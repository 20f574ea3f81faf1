//! All interleavings against the reference model. A step is a verb of the store.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use cloakroom::store::{Loaded, Lookup, Memory, NewSession, Outcome, SignedOut, Store, Target};
use cloakroom::{
    Clock, Device, OnLimit, Page, SessionId, UserId,
    store::{Change, Credentials, StoreError, Terms},
};

use crate::programs::{
    ACTS, Act, Browser, LIMIT, Managers, POLICIES, Program, STARTS, Start, check_ended, check_repeated,
};
use crate::support::{Scene, Seen, Watcher};

/// A client's way to the store: one verb each time it is let.
#[derive(Clone)]
struct Stepped {
    memory: Memory,
    may_pass: Arc<AtomicBool>,
    is_open: Arc<AtomicBool>,
    minted: Minted,
}

/// Every secret hash that any client has sent for a session.
type Minted = Arc<Mutex<BTreeMap<String, Vec<Credentials>>>>;

impl Stepped {
    fn new(memory: &Memory, minted: &Minted) -> Stepped {
        let (may_pass, is_open) = (Arc::default(), Arc::new(AtomicBool::new(true)));
        Stepped { memory: memory.clone(), may_pass, is_open, minted: minted.clone() }
    }

    async fn pass(&self) {
        std::future::poll_fn(|_| {
            let passes = self.is_open.load(Ordering::SeqCst) || self.may_pass.swap(false, Ordering::SeqCst);
            if passes { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn note(&self, presented: Credentials) {
        self.minted.lock().unwrap().entry(presented.id.expose().to_owned()).or_default().push(presented);
    }
}

impl Store for Stepped {
    async fn create(&self, new: &NewSession, terms: &Terms) -> Result<Outcome, StoreError> {
        self.pass().await;
        self.note(new.presented);
        self.memory.create(new, terms).await
    }

    async fn load(&self, presented: &Credentials, terms: &Terms) -> Result<Lookup, StoreError> {
        self.pass().await;
        self.memory.load(presented, terms).await
    }

    async fn load_by_id(&self, id: &SessionId, terms: &Terms) -> Result<Option<Loaded>, StoreError> {
        self.pass().await;
        self.memory.load_by_id(id, terms).await
    }

    async fn apply(&self, presented: &Credentials, change: &Change, terms: &Terms) -> Result<Outcome, StoreError> {
        self.pass().await;
        if change.new_secret().is_some() {
            self.note(Credentials { id: presented.id, secret_hash: change.new_secret() });
        }
        self.memory.apply(presented, change, terms).await
    }

    async fn sign_out(&self, presented: &Credentials) -> Result<SignedOut, StoreError> {
        self.pass().await;
        self.memory.sign_out(presented).await
    }

    async fn revoke(&self, target: &Target) -> Result<u64, StoreError> {
        self.pass().await;
        self.memory.revoke(target).await
    }

    async fn list(&self, user: &UserId, page: Page, terms: &Terms) -> Result<Vec<Device>, StoreError> {
        self.pass().await;
        self.memory.list(user, page, terms).await
    }
}

/// The minute, by the system's clock.
fn minute() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970").as_secs() / 60
}

/// The answer of a future that waits for nothing.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits for something"),
    }
}

/// A client on its way.
enum Client {
    Running(Pin<Box<dyn Future<Output = Browser>>>),
    Finished(Browser),
}

/// One run: the store, the clients, and what was seen.
struct World {
    memory: Memory,
    minted: Minted,
    clients: Vec<(Stepped, Client)>,
    before: Scene,
    watcher: Watcher,
    /// All clients ask for one sign-in.
    is_one_sign_in: bool,
}

impl World {
    fn new(start: Start, on_limit: OnLimit, program: &Program) -> World {
        let memory = Memory::with_clock(Clock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(1_775_133_296)));
        let minted = Minted::default();
        let managers = Managers::new(&Stepped::new(&memory, &minted), on_limit);
        let browsers = at_once(Browser::three(start, &managers));
        let clients = program.iter().zip(browsers).map(|(acts, browser)| {
            let store = Stepped::new(&memory, &minted);
            store.is_open.store(false, Ordering::SeqCst);
            let program = browser.run(Managers::new(&store, on_limit), acts.clone());
            (store, Client::Running(Box::pin(program)))
        });
        let clients = clients.collect();
        let is_one_sign_in = matches!(start, Start::Nobody | Start::Visitor)
            && program.iter().all(|acts| acts.iter().all(|act| *act == Act::Repeatable));
        let mut world = World {
            memory,
            minted,
            clients,
            before: Scene::default(),
            watcher: Watcher::with_limit(LIMIT),
            is_one_sign_in,
        };
        for i in 0..world.clients.len() {
            world.poll(i);
        }
        world.before = world.scene();
        world
    }

    fn poll(&mut self, i: usize) {
        let (_, client) = &mut self.clients[i];
        if let Client::Running(program) = client
            && let Poll::Ready(browser) = program.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        {
            *client = Client::Finished(browser);
        }
    }

    fn running(&self) -> Vec<usize> {
        (0..self.clients.len()).filter(|i| matches!(self.clients[*i].1, Client::Running(_))).collect()
    }

    /// Lets a client make its next step, and looks.
    fn step(&mut self, i: usize) -> Result<(), String> {
        self.clients[i].0.may_pass.store(true, Ordering::SeqCst);
        self.poll(i);
        assert!(!self.clients[i].0.may_pass.load(Ordering::SeqCst), "a step was made");
        let scene = self.scene();
        self.watcher.look(scene)
    }

    fn end(&mut self) -> Result<(), String> {
        let browsers: Vec<_> = self
            .clients
            .iter()
            .map(|(_, client)| match client {
                Client::Finished(browser) => browser.clone(),
                Client::Running(_) => panic!("it still runs"),
            })
            .collect();
        if self.is_one_sign_in {
            check_repeated(&self.scene(), &browsers)?;
        }
        check_ended(&self.before, &self.scene(), &browsers)
    }

    fn scene(&self) -> Scene {
        let mut scene = Scene::default();
        let terms = Terms::default();
        for (id, known) in &*self.minted.lock().unwrap() {
            let look = |presented| at_once(self.memory.load(presented, &terms)).unwrap().live();
            let Some(loaded) = known.iter().rev().find_map(look) else { continue };
            let text = |hash: cloakroom::store::SecretHash| hash.as_str().to_owned();
            let record = loaded.record;
            let seen = Seen {
                user: record.user_id.as_ref().map(|user| user.as_str().to_owned()),
                current: record.secret_hash.map(text).unwrap(),
                previous: record.previous.map(|held| text(held.secret_hash)),
            };
            scene.sessions.insert(id.clone(), seen);
        }
        let users: BTreeSet<_> = scene.sessions.values().filter_map(|seen| seen.user.clone()).collect();
        for user in users {
            let id = UserId::try_from(&user).unwrap();
            let listed = at_once(self.memory.list(&id, Page::default(), &terms)).unwrap();
            scene.index.insert(user, listed.iter().map(|device| device.id.expose().to_owned()).collect());
        }
        scene
    }
}

/// Runs a program in every order of its steps; how many there are.
fn run_all_orders(start: Start, on_limit: OnLimit, program: &Program) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    // a sign-in that may be repeated depends on the minute: if that changes, all orders are run again
    loop {
        let began = minute();
        match orders_of(start, on_limit, program, began) {
            Some(orders) => return orders,
            None => assert_ne!(began, minute(), "the steps depend on something else than the order and the time"),
        }
    }
}

/// Runs a program in every order of its steps; how many there are, unless the minute changes.
fn orders_of(start: Start, on_limit: OnLimit, program: &Program, began: u64) -> Option<usize> {
    // which of how many was chosen at each step
    let mut choices: Vec<(usize, usize)> = Vec::new();
    for orders in 1.. {
        let mut world = World::new(start, on_limit, program);
        let mut order = Vec::new();
        loop {
            let running = world.running();
            if running.is_empty() {
                break;
            }
            if order.len() == choices.len() {
                choices.push((0, running.len()));
            }
            let (chosen, of) = choices[order.len()];
            if of != running.len() {
                return None;
            }
            let client = running[chosen];
            order.push(client);
            let fine = world.step(client);
            fine.unwrap_or_else(|wrong| panic!("{start:?}, {on_limit:?}, {program:?} in the order {order:?}: {wrong}"));
        }
        if minute() != began {
            return None;
        }
        let fine = world.end();
        fine.unwrap_or_else(|wrong| panic!("{start:?}, {on_limit:?}, {program:?} in the order {order:?}: {wrong}"));
        // the next order: the last choice that has another one left
        while choices.last().is_some_and(|(chosen, of)| chosen + 1 == *of) {
            choices.pop();
        }
        match choices.last_mut() {
            Some((chosen, _)) => *chosen += 1,
            None => return Some(orders),
        }
    }
    unreachable!()
}

/// Runs programs from these starts, under both policies, in all orders; how many programs and orders there were.
fn run_everywhere(programs: &[Program], starts: &[Start]) -> (usize, usize) {
    let (mut count, mut orders) = (0, 0);
    for start in starts {
        for on_limit in POLICIES {
            for program in programs.iter().filter(|program| is_first_of_its_kind(*start, program)) {
                count += 1;
                orders += run_all_orders(*start, on_limit, program);
            }
        }
    }
    (count, orders)
}

/// Clients with the same cookie may be exchanged: one order of them is enough.
fn is_first_of_its_kind(start: Start, program: &Program) -> bool {
    match start {
        Start::Nobody | Start::Visitor => program.is_sorted(),
        Start::Devices => program.len() < 3 || program[0] <= program[2],
        Start::Tabs => program[0] <= program[1],
    }
}

/// So many clients, each with one of these lists of requests.
fn programs(clients: usize, requests: &[Vec<Act>]) -> Vec<Program> {
    let mut programs = vec![Vec::new()];
    for _ in 0..clients {
        let longer = |program: &Program| {
            let program = program.clone();
            requests.iter().map(move |acts| program.iter().chain([acts]).cloned().collect())
        };
        programs = programs.iter().flat_map(longer).collect();
    }
    programs
}

fn one_each(acts: &[Act]) -> Vec<Vec<Act>> {
    acts.iter().map(|act| vec![*act]).collect()
}

// The figures stand in docs/design.md, too.

#[test]
fn two_clients_with_a_request_each_in_every_order() {
    assert_eq!(run_everywhere(&programs(2, &one_each(&ACTS)), &STARTS), (884, 6_352));
}

#[test]
fn three_clients_with_a_request_each_in_every_order() {
    let acts = [Act::Save, Act::Rotate, Act::SignIn("anna"), Act::SignOut, Act::SignOutEverywhere];
    assert_eq!(run_everywhere(&programs(3, &one_each(&acts)), &STARTS), (440, 39_046));
}

#[test]
fn two_clients_with_two_requests_each_in_every_order() {
    let acts = [Act::Rotate, Act::SignIn("anna"), Act::SignOutEverywhere];
    let pairs: Vec<_> = acts.iter().flat_map(|a| acts.iter().map(|b| vec![*a, *b])).collect();
    assert_eq!(run_everywhere(&programs(2, &pairs), &[Start::Visitor, Start::Devices, Start::Tabs]), (342, 29_136));
}

#[test]
fn one_sign_in_that_several_clients_repeat_in_every_order() {
    let repeated = [vec![Act::Repeatable], vec![Act::Repeatable, Act::Repeatable]];
    assert_eq!(run_everywhere(&programs(2, &repeated), &[Start::Nobody, Start::Visitor]), (12, 838));
    let acts = [Act::Repeatable, Act::Rotate, Act::SignIn("anna"), Act::SignIn("bert")];
    assert_eq!(run_everywhere(&programs(2, &one_each(&acts)), &STARTS), (92, 1_030));
    let acts = [Act::Repeatable, Act::SignIn("anna")];
    assert_eq!(run_everywhere(&programs(3, &one_each(&acts)), &[Start::Visitor, Start::Tabs]), (20, 3_099));
}
