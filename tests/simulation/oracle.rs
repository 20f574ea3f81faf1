//! What the documentation promises, and nothing of how it is done: who may be signed in where, what each browser must and
//! must not see, what each count may be, and when what must have ended.
//!
//! What it cannot know (an answer that was lost, two requests at the same time) it keeps as several possibilities, and
//! learns from what is seen next.

use std::collections::HashMap;

mod contents;
mod endings;
mod known;
mod limit;
mod lists;
mod requests;
mod secrets;
mod sign_in;

use known::Known;
pub(crate) use known::{Alive, Worth};

/// Milliseconds of the store's time.
pub(crate) type Millis = u64;

/// What was wrong, in words.
pub(crate) type Wrong = String;

/// All that is known of all sessions that ever were.
#[derive(Default, Clone)]
pub(crate) struct Oracle {
    sessions: Vec<Known>,
    by_id: HashMap<String, usize>,
    sign_ins: u64,
    /// The latest time before a clock was set back.
    latest: Millis,
    /// For whom a sign-in was cut off, and when.
    cut_off: Vec<(usize, Millis)>,
}

impl Oracle {
    /// The session of a token.
    pub(crate) fn session_of(&self, token: &str) -> Option<usize> {
        self.by_id.get(token.split('.').next()?).copied()
    }

    /// The id of the session that was made so manieth.
    pub(crate) fn id(&self, nth: usize) -> Option<String> {
        self.sessions.get(nth).map(|known| known.id.clone())
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.sessions.iter().map(|known| known.id.clone()).collect()
    }

    /// The tokens that should be tried. With `all`, also those of sessions that have ended.
    pub(crate) fn tokens(&self, now: Millis, all: bool) -> Vec<String> {
        // an end that nobody was told of is left to be found by somebody else
        let is_tried = |known: &&Known| known.may_live(now) || all && known.alive == Alive::No;
        let sessions = self.sessions.iter().filter(is_tried);
        sessions.flat_map(|known| known.tokens.iter().rev().take(4)).map(|(token, _)| token.clone()).collect()
    }

    pub(crate) fn worth(&self, nth: usize, token: &str) -> Worth {
        self.sessions[nth].worth(token)
    }

    pub(crate) fn alive(&self, nth: usize) -> Alive {
        self.sessions[nth].alive
    }

    pub(crate) fn lives(&self, nth: usize, now: Millis) -> bool {
        self.sessions[nth].lives(now)
    }

    pub(crate) fn may_live(&self, nth: usize, now: Millis) -> bool {
        self.sessions[nth].may_live(now)
    }

    /// Whose it is, where that is known.
    pub(crate) fn user(&self, nth: usize) -> Option<usize> {
        match &self.sessions[nth].users[..] {
            [user] => *user,
            _ => None,
        }
    }

    pub(crate) fn users(&self, nth: usize) -> &[Option<usize>] {
        &self.sessions[nth].users
    }
}

fn secs(millis: Millis) -> f64 {
    millis as f64 / 1000.0
}
