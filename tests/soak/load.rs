//! Browsers that do all that an application offers, and what each knows that it must see.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;

use crate::app::Seen;
use crate::support::{Answer, Browser, Numbers};

pub(crate) const BROWSERS: usize = 60;
/// As many browsers as share a user, which are more than may be signed in.
pub(crate) const BROWSERS_A_USER: usize = 5;
pub(crate) const USERS: usize = BROWSERS / BROWSERS_A_USER;
/// How long a session lives at all, at most: a sign-in begins anew.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

/// How long an answer may take, on a machine that is busy, or where a server is started again.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all browsers have counted, and what they cannot know.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) requests: AtomicU64,
    /// Requests that were dropped in the middle.
    pub(crate) dropped: AtomicU64,
    /// Requests that were answered with an error.
    pub(crate) failed: AtomicU64,
    /// Sign-ins that were answered.
    pub(crate) signed_in: AtomicU64,
    /// Cookies with a session that its browser had not had before.
    pub(crate) created: AtomicU64,
    /// When a session was left behind, or may have been: whoever loses an answer does not know.
    left: Mutex<VecDeque<Instant>>,
}

impl Tally {
    /// How many sessions may live that no browser has, at most.
    pub(crate) fn left(&self) -> usize {
        let mut left = self.left.lock().unwrap();
        // some seconds more than they can live
        while left.front().is_some_and(|since| since.elapsed() > LONGEST + Duration::from_secs(5)) {
            left.pop_front();
        }
        left.len()
    }

    fn leave(&self) {
        self.left.lock().unwrap().push_back(Instant::now());
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::SeqCst);
}

/// One browser, which sends one request after the other.
pub(crate) struct Client {
    number: usize,
    browser: Browser,
    numbers: Numbers,
    tally: Arc<Tally>,
    /// The names that its user has, and had before.
    user: String,
    formerly: String,
    /// The last session that it was in.
    id: Option<String>,
    /// What is counted in there, at least and at most.
    least: i64,
    most: i64,
    /// Counts that were not answered: a session that came of one of them already has it.
    unsure: i64,
    /// What it has done of late, for whoever reads of a failure.
    story: VecDeque<String>,
}

impl Client {
    pub(crate) fn new(number: usize, app: Router, tally: Arc<Tally>) -> Client {
        let user = user_of(number, 0);
        let (browser, numbers) = (Browser::new(app), Numbers(number as u64));
        let (formerly, story) = (user.clone(), VecDeque::new());
        Client { number, browser, numbers, tally, user, formerly, id: None, least: 0, most: 0, unsure: 0, story }
    }

    /// Lets go of the application.
    pub(crate) fn leave(&mut self) {
        self.browser = self.browser.at(Router::new());
    }

    /// From now on this is the application, one of its servers, and the user has a new name every now and then.
    pub(crate) fn at(&mut self, app: Router, round: usize) {
        self.browser = self.browser.at(app);
        let user = user_of(self.number, round);
        if user != self.user {
            self.formerly = std::mem::replace(&mut self.user, user);
        }
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Asks for something.
    pub(crate) async fn step(&mut self) {
        count(&self.tally.requests);
        let act = self.numbers.below(100);
        let path = match act {
            0..30 => "/look".to_owned(),
            30..40 => "/now".to_owned(),
            40..50 => format!("/note/{}", "x".repeat(self.numbers.below(200) + 1)),
            50..70 => "/count".to_owned(),
            70..76 => format!("/sign-in/{}", self.user),
            76..79 => format!("/remember/{}", self.user),
            79..84 => "/rotate".to_owned(),
            84..88 => "/devices".to_owned(),
            88..91 => "/sign-out".to_owned(),
            91..93 => "/others".to_owned(),
            93..94 => "/everywhere".to_owned(),
            94..95 => format!("/close-account/{}", self.user),
            _ => {
                self.lose_cookies();
                "/note/new".to_owned()
            }
        };
        let patience = match self.numbers.below(25) {
            0 => Duration::from_micros(self.numbers.below(3000) as u64),
            _ => PATIENCE,
        };
        match tokio::time::timeout(patience, self.browser.get(&path)).await {
            Ok(answer) => {
                self.note(format!("{path}: {} {}", answer.status.as_u16(), answer.body));
                self.answered(&path, &answer);
            }
            Err(_) => {
                self.must(patience < PATIENCE, || format!("{path} is answered, if with an error"));
                self.note(format!("{path}: dropped"));
                count(&self.tally.dropped);
                self.is_unsure(&path);
            }
        }
    }

    fn note(&mut self, what: String) {
        self.story.push_back(what);
        if self.story.len() > 20 {
            self.story.pop_front();
        }
    }

    fn must(&self, is_so: bool, what: impl FnOnce() -> String) {
        assert!(is_so, "{}\nafter\n  {}", what(), self.story.iter().cloned().collect::<Vec<_>>().join("\n  "));
    }

    /// Looks at the session where it is kept, as soon as it can be asked for. What was counted for certain is known then; a
    /// count that was dropped may still be on its way.
    pub(crate) async fn look(&mut self) -> Seen {
        let answer = patiently(async || {
            let answer = self.browser.get("/now").await;
            if answer.status.is_success() { Ok(answer) } else { Err(answer.body) }
        });
        let answer = answer.await;
        self.note(format!("looks: {}", answer.body));
        let seen = seen(&answer);
        self.sees(&seen, true);
        if seen.id.is_some() {
            self.least = seen.count;
        }
        seen
    }

    fn answered(&mut self, path: &str, answer: &Answer) {
        if !answer.status.is_success() {
            // 401: the session was ended elsewhere in this very moment
            let is_allowed = answer.status.is_server_error() || [401, 409].contains(&answer.status.as_u16());
            self.must(is_allowed, || "this answer is not allowed".to_owned());
            count(&self.tally.failed);
            return self.is_unsure(path);
        }
        if path.starts_with("/close-account/") {
            return;
        }
        let seen = seen(answer);
        if path == "/count" {
            self.enters(&seen);
            (self.least, self.most) = (self.least + 1, self.most + 1);
        }
        self.sees(&seen, path == "/count");
        if path.starts_with("/sign-in/") || path.starts_with("/remember/") {
            count(&self.tally.signed_in);
            self.must(seen.user.as_deref() == Some(self.user()), || "who has signed in is signed in".to_owned());
        }
        self.must(path != "/sign-out" || seen.id.is_none(), || "who has signed out is signed out".to_owned());
    }

    fn sees(&mut self, seen: &Seen, is_fresh: bool) {
        self.enters(seen);
        let user = seen.user.as_deref();
        let ours = [None, Some(self.user.as_str()), Some(self.formerly.as_str())];
        self.must(ours.contains(&user), || format!("{user:?} is somebody else than {}", self.user));
        if seen.id.is_some() {
            // a near cache may be a little behind
            let least = if is_fresh { self.least } else { 0 };
            let range = least..=self.most;
            self.must(range.contains(&seen.count), || format!("{} are seen, and {range:?} were counted", seen.count));
        }
    }

    /// The session may be another one than before. Who has none may still come back to the former one: a sign-in whose answer
    /// was lost is asked for once more.
    fn enters(&mut self, seen: &Seen) {
        if seen.id.is_some() && seen.id != self.id {
            count(&self.tally.created);
            self.id = seen.id.clone();
            (self.least, self.most) = (0, std::mem::take(&mut self.unsure));
        }
    }

    fn is_unsure(&mut self, path: &str) {
        self.tally.leave();
        if path == "/count" {
            self.most += 1;
            self.unsure += 1;
        }
    }

    fn lose_cookies(&mut self) {
        self.browser = self.browser.stranger();
        self.tally.leave();
        self.id = None;
        (self.least, self.most, self.unsure) = (0, 0, 0);
    }
}

/// Asks until there is an answer: a server may have been started again a moment ago.
pub(crate) async fn patiently<T, E: fmt::Display>(mut ask: impl AsyncFnMut() -> Result<T, E>) -> T {
    let begin = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(begin.elapsed() < PATIENCE, "still after {PATIENCE:?}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Every user has another name after some rounds, one user after the other.
fn user_of(browser: usize, round: usize) -> String {
    let user = browser / BROWSERS_A_USER;
    format!("user-{user}-{}", (round + USERS - 1 - user) / USERS)
}

fn seen(answer: &Answer) -> Seen {
    answer.body.parse().unwrap_or_else(|error| panic!("{error}"))
}
