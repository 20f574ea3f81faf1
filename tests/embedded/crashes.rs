//! A process under load is killed at random moments, again and again on the same directory. After each kill every
//! operation that it acknowledged is looked for.
//!
//! Each of its threads has sessions and users of its own and does what a list of operations says that is the same for
//! ever. So what must be there is what the reference model holds after the acknowledged ones, and, for each thread,
//! perhaps the one after.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use cloakroom::store::{Embedded, EmbeddedBuilder, Memory, NewSession, Store, Target};
use cloakroom::{
    OnLimit, Page, SessionId, UserId,
    store::{Change, Credentials, FieldChanges, Rotation, Save, SecretHash, SignIn, Terms},
};

use crate::verbs::timeless;

const THREADS: usize = 3;
/// How many sessions of a thread are in use at a time.
const RECENT: u64 = 6;
/// A user's sessions: few, so that the limit is met.
const MOST: usize = 2;

/// SplitMix64: the same numbers for ever. <https://prng.di.unimi.it/splitmix64.c>
fn scrambled(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The list of one thread's operations.
#[derive(Clone)]
struct Script {
    thread: u64,
    /// How many operations have been taken from it.
    taken: u64,
    /// The secret of each session.
    secrets: Vec<u64>,
}

enum Operation {
    Create(NewSession),
    Apply(Credentials, Box<Change>),
    SignOut(Credentials),
    Revoke(Target),
}

pub(crate) fn presented(thread: u64, session: u64, secret: u64) -> Credentials {
    let digits = |number: u64, len: usize| format!("{number:0len$}").replace(['1', '3', '5', '7', '9'], "_");
    // letters in the place of digits, so that all numbers are different
    let letters = |number: u64| number.to_string().bytes().map(|b| char::from(b - b'0' + b'a')).collect::<String>();
    let id = format!("{:A<21}A", format!("{}.{}", letters(thread), letters(session)).replace('.', "-"));
    let hash = format!("{:A<42}A", format!("{}{}", digits(thread, 2), letters(secret)));
    Credentials { id: SessionId::parse(&id).unwrap(), secret_hash: Some(SecretHash::parse(&hash).unwrap()) }
}

impl Script {
    fn new(thread: u64) -> Script {
        Script { thread, taken: 0, secrets: Vec::new() }
    }

    fn user(&self, number: u64) -> UserId {
        UserId::try_from(format!("user {} of thread {}", number % 2, self.thread)).unwrap()
    }

    fn next(&mut self) -> Operation {
        let number = scrambled(self.thread << 40 | self.taken);
        self.taken += 1;
        let sessions = self.secrets.len() as u64;
        if sessions == 0 || number.is_multiple_of(8) {
            self.secrets.push(0);
            let fields = [("views".to_owned(), "0".to_owned()), ("cart".to_owned(), "x".repeat(180))].into();
            let presented = presented(self.thread, sessions, 0);
            return Operation::Create(NewSession { presented, fields, idle_timeout: None, own_deadline: None });
        }
        let session = sessions - 1 - (number >> 8) % RECENT.min(sessions);
        let token = presented(self.thread, session, self.secrets[session as usize]);
        let mut fields = FieldChanges::default();
        let change = match number % 8 {
            1 | 2 => {
                fields.add.insert("views".to_owned(), 1);
                Save { fields, ..Save::default() }.into()
            }
            3 => {
                fields.set.insert("last", self.taken.to_string());
                Save { fields, ..Save::default() }.into()
            }
            4 => Save { touch: true, ..Save::default() }.into(),
            5 => Rotation { secret_hash: self.new_secret(session), drop_previous: false, fields }.into(),
            6 => Change::SignIn { new: sign_in(self.user(number >> 16)), secret_hash: self.new_secret(session) },
            _ => {
                return match (number >> 16) % 4 {
                    0 => Operation::Revoke(Target::AllOf(self.user(number >> 20))),
                    1 => Operation::Revoke(Target::OthersOf(self.user(number >> 20), token.id)),
                    2 => Operation::SignOut(token),
                    _ => Operation::Revoke(Target::Session(token.id)),
                };
            }
        };
        Operation::Apply(token, Box::new(change))
    }

    fn new_secret(&mut self, session: u64) -> SecretHash {
        self.secrets[session as usize] += 1;
        presented(self.thread, session, self.secrets[session as usize]).secret_hash.unwrap()
    }
}

pub(crate) fn sign_in(user: UserId) -> SignIn {
    let device = Some("Firefox on Linux".to_owned());
    SignIn { device, ..SignIn::new(user, MOST, OnLimit::EvictOldest) }
}

async fn run(store: &impl Store, operation: Operation) {
    let terms = Terms::default();
    match operation {
        Operation::Create(new) => drop(store.create(&new, &terms).await.unwrap()),
        Operation::Apply(presented, change) => drop(store.apply(&presented, &change, &terms).await.unwrap()),
        Operation::SignOut(presented) => drop(store.sign_out(&presented).await.unwrap()),
        Operation::Revoke(target) => drop(store.revoke(&target).await.unwrap()),
    }
}

/// What can be seen of a thread's latest sessions, so many, without times.
async fn seen(store: &impl Store, script: &Script, latest: usize) -> Vec<String> {
    let terms = Terms::default();
    let mut seen = Vec::new();
    let before = script.secrets.len().saturating_sub(latest);
    for (session, secret) in script.secrets.iter().enumerate().skip(before) {
        // the current secret, and the one before, which may be held, or have been the last that was acknowledged
        for secret in secret.saturating_sub(2)..=*secret {
            let lookup = store.load(&presented(script.thread, session as u64, secret), &terms).await.unwrap();
            let live = lookup.live().map(|loaded| timeless(loaded.record.as_ref().clone()));
            seen.push(format!("session {session}, secret {secret}: {live:?}"));
        }
    }
    for user in 0..2 {
        let listed = store.list(&script.user(user), Page::default(), &terms).await.unwrap();
        seen.push(format!("{:?}: {:?}", script.user(user), listed.iter().map(|device| device.id).collect::<Vec<_>>()));
    }
    seen
}

fn builder(path: &Path) -> EmbeddedBuilder {
    // so that parts end, and are written again and removed, all the time
    Embedded::builder(path).part_bytes(40_000)
}

/// The process that is killed. It says each operation that it has done, and goes on until then.
#[test]
#[ignore = "started by the test that kills it"]
fn a_process_under_load() {
    let path = std::env::var("CLOAKROOM_CRASHES").expect("the directory");
    let waits = std::env::var("CLOAKROOM_CRASHES_WAIT").is_ok();
    let taken: Vec<u64> =
        std::env::var("CLOAKROOM_CRASHES_TAKEN").unwrap().split(' ').map(|n| n.parse().unwrap()).collect();
    let store = if waits { builder(path.as_ref()).wait_for_disk() } else { builder(path.as_ref()) }.open().unwrap();
    std::thread::scope(|scope| {
        for (thread, taken) in taken.into_iter().enumerate() {
            let store = store.clone();
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let mut script = Script::new(thread as u64);
                while script.taken < taken {
                    script.next();
                }
                loop {
                    runtime.block_on(run(&store, script.next()));
                    writeln!(std::io::stdout(), "done {thread} {}", script.taken).unwrap();
                }
            });
        }
    });
}

/// Runs it on this directory and kills it after a while. How many operations each thread has acknowledged.
fn killed(path: &Path, scripts: &[Script], waits: bool, after: Duration) -> Vec<u64> {
    let taken: Vec<_> = scripts.iter().map(|script| script.taken.to_string()).collect();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crashes::a_process_under_load", "--ignored", "--nocapture"]).stdout(Stdio::piped());
    command.env("CLOAKROOM_CRASHES", path).env("CLOAKROOM_CRASHES_TAKEN", taken.join(" "));
    if waits {
        command.env("CLOAKROOM_CRASHES_WAIT", "1");
    }
    let mut process = command.spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut acknowledged: Vec<u64> = scripts.iter().map(|script| script.taken).collect();
    let mut killer = None;
    while let Some(Ok(line)) = lines.next() {
        // the test harness's own words may stand before it, and the last line may be cut off
        let Some((_, done)) = line.split_once("done ") else { continue };
        let Some((thread, taken)) = done.split_once(' ') else { continue };
        if let (Ok(thread), Ok(taken)) = (thread.parse::<usize>(), taken.parse::<u64>()) {
            // a number that was cut off is smaller
            acknowledged[thread] = acknowledged[thread].max(taken);
        }
        if killer.is_none() {
            let pid = process.id().to_string();
            killer = Some(std::thread::spawn(move || {
                std::thread::sleep(after);
                assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
            }));
        }
    }
    killer.expect("it has begun").join().unwrap();
    process.wait().unwrap();
    acknowledged
}

fn kill_again_and_again(kills: u64) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut scripts: Vec<_> = (0..THREADS as u64).map(Script::new).collect();
    let models: Vec<_> = (0..THREADS).map(|_| Memory::new()).collect();
    let (mut operations, mut unacknowledged) = (0, 0);
    for kill in 0..kills {
        let waits = kill % 4 == 3;
        let after = Duration::from_millis(scrambled(kill) % 80);
        // of all that ever was, now and then
        let latest = if kill % 20 == 19 { usize::MAX } else { 300 };
        let acknowledged = killed(dir.path(), &scripts, waits, after);
        let store = builder(dir.path()).open().unwrap_or_else(|error| panic!("after kill {kill}: {error:?}"));
        for ((script, model), acknowledged) in scripts.iter_mut().zip(&models).zip(acknowledged) {
            operations += acknowledged - script.taken;
            while script.taken < acknowledged {
                runtime.block_on(run(model, script.next()));
            }
            // what was not acknowledged may be there, too
            let mut after = script.clone();
            let in_flight = after.next();
            let found = runtime.block_on(seen(&store, &after, latest));
            if found != runtime.block_on(seen(model, &after, latest)) {
                unacknowledged += 1;
                runtime.block_on(run(model, in_flight));
                *script = after;
                let expected = runtime.block_on(seen(model, script, latest));
                let different = found.iter().zip(&expected).find(|(found, expected)| found != expected);
                assert_eq!(different, None, "after kill {kill}, thread {}", script.thread);
            }
        }
    }
    println!("{kills} kills, {operations} acknowledged operations, all there; {unacknowledged} more were there, too");
    assert!(operations > kills * 10, "{operations} operations");
}

#[test]
fn an_acknowledged_change_is_there_after_each_of_many_kills() {
    let kills = std::env::var("CLOAKROOM_KILLS").map_or(20, |kills| kills.parse().expect("a number of kills"));
    kill_again_and_again(kills);
}
