//! Visitors who sign in, change and end sessions without a pause, each for some users of their own.

use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;

use super::app::Told;
use super::ledger::{Asked, Entry, When};
use crate::support::cluster::until;
use crate::support::{Answer, Browser};

/// What all workers share with whoever watches them.
#[derive(Default)]
pub(super) struct Progress {
    when: AtomicU8,
    stop: AtomicBool,
    /// How much was acknowledged of all that did not have to wait for replicas.
    acknowledged: AtomicU64,
}

impl Progress {
    pub(super) fn set(&self, when: When) {
        self.when.store(when as u8, Ordering::SeqCst);
    }

    pub(super) fn when(&self) -> When {
        When::ALL[usize::from(self.when.load(Ordering::SeqCst))]
    }

    pub(super) fn stop(&self, stop: bool) {
        self.stop.store(stop, Ordering::SeqCst);
    }

    /// Waits until so much more was acknowledged.
    pub(super) fn wait_for(&self, more: u64) {
        let enough = self.acknowledged.load(Ordering::SeqCst) + more;
        until("enough is acknowledged", || self.acknowledged.load(Ordering::SeqCst) >= enough);
    }
}

/// One after the other, for ever.
const ROUND: [Verb; 16] = [
    Verb::SignIn,
    Verb::Set,
    Verb::Count,
    Verb::SignIn,
    Verb::Rotate,
    Verb::Set,
    Verb::SignOut,
    Verb::Count,
    Verb::SignIn,
    Verb::Count,
    Verb::Set,
    Verb::SignOutDevice,
    Verb::Count,
    Verb::SignIn,
    Verb::SignOut,
    Verb::Set,
];
/// Every so many rounds a user signs out everywhere, each in turn.
const ROUNDS: usize = 13;
/// Between two requests, so that the load is the same on every machine.
const PAUSE: Duration = Duration::from_millis(8);
const MOST_FIELDS: usize = 100;

#[derive(Clone, Copy)]
enum Verb {
    SignIn,
    Set,
    Count,
    Rotate,
    SignOut,
    SignOutDevice,
}

/// How often each outcome was told that the docs' table has.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) acknowledged: u64,
    pub(super) not_done: u64,
    pub(super) unknown: u64,
}

pub(super) struct Worker {
    app: Router,
    progress: Arc<Progress>,
    /// Whether its revokes wait for replicas.
    pub(super) is_durable: bool,
    pub(super) users: Vec<String>,
    pub(super) entries: Vec<Entry>,
    pub(super) tally: Tally,
    /// Sessions that may have been made, of which nobody knows the id.
    pub(super) unknown_sessions: u64,
    step: usize,
    /// Whether the last request was acknowledged.
    is_answered: bool,
}

impl Worker {
    pub(super) fn new(app: Router, progress: Arc<Progress>, is_durable: bool, users: Vec<String>) -> Worker {
        let (entries, tally) = (Vec::new(), Tally::default());
        Worker { app, progress, is_durable, users, entries, tally, unknown_sessions: 0, step: 0, is_answered: true }
    }

    /// Goes on until so many rounds are done, or until told to stop.
    pub(super) async fn work(mut self, rounds: usize) -> Worker {
        let last = self.step.saturating_add(rounds.saturating_mul(ROUND.len()));
        while self.step < last && !self.progress.stop.load(Ordering::SeqCst) {
            let round = self.step / ROUND.len();
            let user = self.users[round % self.users.len()].clone();
            self.act(ROUND[self.step % ROUND.len()], &user).await;
            // while the store is away nothing could be said of any of the sessions
            if self.is_answered && self.step % (ROUNDS * ROUND.len()) == ROUNDS * ROUND.len() - 1 {
                self.sign_out_everywhere(&user).await;
            }
            self.step += 1;
            tokio::time::sleep(PAUSE).await;
        }
        self
    }

    async fn act(&mut self, verb: Verb, user: &str) {
        if let Verb::SignIn = verb {
            return self.sign_in(user).await;
        }
        let in_use = |entry: &&mut Entry| entry.user == user && entry.is_in_use();
        let mut mine: Vec<_> = self.entries.iter_mut().filter(in_use).collect();
        if mine.len() < 2 {
            return;
        }
        let when = self.progress.when();
        let count = mine.len();
        let other = mine.remove((self.step * 5 + 3) % count);
        let entry = mine.remove((self.step * 7) % (count - 1));
        let told = match verb {
            Verb::SignIn => unreachable!("it was done above"),
            Verb::Set if entry.fields.len() == MOST_FIELDS => return,
            Verb::Set => {
                let told = ask(entry, &format!("/set/f{}", entry.fields.len())).await.0;
                entry.fields.push(Asked { told, when });
                told
            }
            Verb::Count => count_in(entry, when).await,
            Verb::Rotate => {
                let told = ask(entry, "/rotate").await.0;
                entry.note_token(when);
                told
            }
            Verb::SignOut => {
                let told = ask(entry, "/sign-out").await.0;
                entry.revokes.push(Asked { told, when });
                told
            }
            Verb::SignOutDevice => {
                let (told, answer) = ask(entry, &format!("/sign-out-device/{}", other.id)).await;
                let of_other = match told {
                    Told::Done if answer.body.ends_with("false") => Told::Gone,
                    Told::Gone => Told::NotDone,
                    // nor is it said that it was theirs: a failover may have undone its sign-in, and then it lives on
                    Told::NotDurable => Told::Unknown,
                    told => told,
                };
                other.is_gone |= of_other == Told::Gone;
                other.revokes.push(Asked { told: of_other, when });
                told
            }
        };
        entry.is_gone |= told == Told::Gone;
        self.note(told).await;
    }

    /// A visitor comes, and signs in with the next request.
    async fn sign_in(&mut self, user: &str) {
        let when = self.progress.when();
        let browser = Browser::new(self.app.clone());
        let answer = browser.get("/hello").await;
        let told = Told::by(&answer);
        self.note(told).await;
        if told != Told::Done {
            self.unknown_sessions += u64::from(told == Told::Unknown);
            return;
        }
        let id = answer.body.split(' ').next().expect("its id").to_owned();
        let mut entry = Entry::new(browser, id, user.to_owned(), when);
        let when = self.progress.when();
        let told = ask(&entry, &format!("/sign-in/{user}")).await.0;
        entry.sign_in = Some(Asked { told, when });
        entry.is_gone = told == Told::Gone;
        entry.note_token(when);
        self.entries.push(entry);
        self.note(told).await;
    }

    async fn sign_out_everywhere(&mut self, user: &str) {
        let when = self.progress.when();
        let Some(entry) = self.entries.iter().find(|entry| entry.user == user && entry.is_in_use()) else { return };
        let (told, answer) = ask(entry, "/sign-out-everywhere").await;
        let theirs = || self.entries.iter().filter(|entry| entry.user == user);
        let in_use = theirs().filter(|entry| entry.is_in_use()).count();
        let is_uncertain = |entry: &&Entry| entry.revoked().is_none() && !entry.is_in_use();
        let uncertain = theirs().filter(is_uncertain).count();
        let ended: usize = answer.body.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
        // after a failover the index may miss some until their next touch
        let are_all = told == Told::Done && uncertain == 0 && ended == in_use;
        if told == Told::Done && when == When::Before {
            assert!(ended >= in_use, "{user} was signed in {in_use} times, and {ended} sessions ended");
        }
        let told_of_each = if are_all { told } else { Told::Unknown };
        for entry in self.entries.iter_mut().filter(|entry| entry.user == user) {
            if entry.revoked().is_none() && told != Told::Gone {
                let told = if entry.is_in_use() { told_of_each } else { Told::Unknown };
                entry.revokes.push(Asked { told, when });
            }
        }
        self.note(told).await;
    }

    /// Counts an outcome; who was told that the store is away does not come back at once.
    async fn note(&mut self, told: Told) {
        let Tally { acknowledged, not_done, unknown } = &mut self.tally;
        match told {
            Told::Done => *acknowledged += 1,
            Told::NotDone => *not_done += 1,
            Told::Unknown => *unknown += 1,
            Told::NotDurable | Told::Gone => {}
        }
        self.is_answered = told == Told::Done;
        if told == Told::Done && !self.is_durable {
            self.progress.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
        if told != Told::Done {
            tokio::time::sleep(2 * PAUSE).await;
        }
    }
}

/// Asks with a session's browser: whatever is answered is about this session.
async fn ask(entry: &Entry, path: &str) -> (Told, Answer) {
    let answer = entry.browser.get(path).await;
    let told = Told::by(&answer);
    if told == Told::Done {
        let is_signed_in = entry.is_signed_in() || path.starts_with("/sign-in");
        assert!(is_about(entry, &answer.body, is_signed_in), "{path} with {}: {}", entry.id, answer.body);
    }
    (told, answer)
}

/// Whether an answer is about this session, and about its user where one is signed in.
pub(super) fn is_about(entry: &Entry, body: &str, is_signed_in: bool) -> bool {
    let mut words = body.split(' ');
    let user = if is_signed_in { entry.user.as_str() } else { "nobody" };
    (words.next(), words.next()) == (Some(entry.id.as_str()), Some(user))
}

async fn count_in(entry: &mut Entry, when: When) -> Told {
    let (told, answer) = ask(entry, "/count").await;
    entry.counts.push(Asked { told, when });
    if told == Told::Done {
        let counted: usize = answer.body.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a number");
        let most = entry.counts.iter().filter(|count| matches!(count.told, Told::Done | Told::Unknown)).count();
        assert!(counted <= most, "{} was counted {counted} times of {most}", entry.id);
    }
    told
}

impl Add for Tally {
    type Output = Tally;

    fn add(self, other: Tally) -> Tally {
        Tally {
            acknowledged: self.acknowledged + other.acknowledged,
            not_done: self.not_done + other.not_done,
            unknown: self.unknown + other.unknown,
        }
    }
}
