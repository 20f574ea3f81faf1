//! What is known of one session.

use super::Millis;
use crate::contents::Contents;
use crate::server::RULES;
use crate::story::{HOUR, USERS};

/// After an hour and some seconds, a sign-in that was cut off is not on its way any more.
pub(super) const LONGEST_SIGN_IN: Millis = HOUR * 1000 + 10_000;

/// The deadline of a session that was given none.
pub(super) const NO_DEADLINE: Range = Range(Millis::MAX, Millis::MAX);

/// Whether a session lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alive {
    /// As long as its times allow.
    Yes,
    Maybe,
    /// It was ended, or somebody was told that it has: for ever.
    No,
}

/// What a token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worth {
    Current,
    /// It must read until the first time and may until the second, where they are known.
    Held(Option<Millis>, Option<Millis>),
    /// It was held, and somebody was told that this is over. Whoever brings it now has kept it, if no other secret has been
    /// replaced since, which is known or not.
    Over(bool),
    Nothing,
    Unknown,
}

/// A number of which it is known that it is not less and not more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range(pub(super) u64, pub(super) u64);

impl Range {
    pub(super) fn or(self, other: Range) -> Range {
        Range(self.0.min(other.0), self.1.max(other.1))
    }
}

#[derive(Clone)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) alive: Alive,
    pub(super) users: Vec<Option<usize>>,
    pub(super) contents: Vec<Contents>,
    pub(super) tokens: Vec<(String, Worth)>,
    /// When it was last used.
    pub(super) used: Range,
    pub(super) idle: Range,
    /// How long the last sign-in granted it at all, and whether that was said.
    pub(super) lifetime: Range,
    pub(super) is_said: bool,
    /// Its absolute end.
    pub(super) ends: Range,
    /// The point in time that the application has given it, or `NO_DEADLINE`.
    pub(super) deadline: Range,
    /// How long the last sign-in has the browser keep the cookie, where it said so.
    pub(super) ages: Vec<Option<Option<u64>>>,
    /// When its user proved who they are.
    pub(super) proved: Range,
    /// When it got its secret.
    pub(super) secret_since: Range,
    /// Its place among the user's sign-ins, where it is known.
    pub(super) order: Option<u64>,
    /// The users for whom a sign-in began that was cut off, and when: it may have written the session into their index.
    pub(super) begun: Vec<(usize, Millis)>,
}

impl Known {
    pub(super) fn lives_until(&self) -> Millis {
        // Whoever grants less also reads an idle timeout that is longer than that and than the session's own lifetime as the
        // longer of the two. A deadline makes that lifetime short; it matters only after a clock was set back.
        let least = RULES.iter().map(|rules| rules.absolute * 1000).min().expect("there are servers");
        let idle = if self.deadline == NO_DEADLINE { self.idle.0 } else { self.idle.0.min(least) };
        (self.used.0 + idle).min(self.ends.0).min(self.deadline.0)
    }

    pub(super) fn gone_from(&self) -> Millis {
        (self.used.1 + self.idle.1).min(self.ends.1).min(self.deadline.1)
    }

    pub(super) fn lives(&self, now: Millis) -> bool {
        self.alive == Alive::Yes && now < self.lives_until()
    }

    pub(super) fn may_live(&self, now: Millis) -> bool {
        self.alive != Alive::No && now < self.gone_from()
    }

    pub(super) fn is_of(&self, user: usize) -> bool {
        self.users == [Some(user)]
    }

    pub(super) fn may_be_of(&self, user: usize) -> bool {
        self.users.contains(&Some(user))
    }

    /// Whether it may end with the user's: it is theirs, or a sign-in of theirs may still be on its way to it.
    pub(super) fn may_end_with(&self, user: usize, now: Millis) -> bool {
        self.may_be_of(user) || self.has_begun(user, now)
    }

    /// Whether a sign-in of this user with it was cut off, and may still be on its way.
    pub(super) fn has_begun(&self, user: usize, now: Millis) -> bool {
        self.begun.iter().any(|(who, at)| *who == user && now <= at + LONGEST_SIGN_IN)
    }

    pub(super) fn worth(&self, token: &str) -> Worth {
        self.tokens.iter().find(|(known, _)| known == token).map_or(Worth::Unknown, |(_, worth)| *worth)
    }

    /// Sets what each token is worth by what it was, newest last.
    pub(super) fn judge(&mut self, judge: impl Fn(&str, Worth) -> Worth) {
        for (token, worth) in &mut self.tokens {
            if *worth != Worth::Nothing {
                *worth = judge(token, *worth);
            }
        }
    }

    pub(super) fn may_be_used(&mut self, now: Millis) {
        self.used = self.used.or(Range(now, now));
    }

    /// The longest idle timeout that it may have, but for what a server grants everybody: its own lifetime, which a deadline may
    /// have shortened.
    pub(super) fn longest_idle(&self) -> Range {
        let least = if self.deadline == NO_DEADLINE { self.lifetime.0 } else { 0 };
        Range(least, self.lifetime.1)
    }

    /// A server that grants less bounds the idle timeout by the session's own lifetime, of which a part of a second is dropped.
    pub(super) fn may_be_bounded(&mut self, server: usize) {
        let usual = RULES[server].absolute * 1000;
        if self.idle.0 > usual {
            self.idle.0 = self.idle.0.min(self.longest_idle().0.saturating_sub(1000).max(usual));
        }
    }

    /// "If you take it away or move it to later, the session ends when the lifetime of its sign-in allows; if the sign-in has not
    /// chosen one, the absolute lifetime of your server counts."
    pub(super) fn may_lose_its_deadline(&mut self, server: usize, now: Millis) {
        if self.deadline.0 <= self.ends.1 && !self.is_said {
            let begun = self.ends.0.saturating_sub(self.lifetime.1);
            let lifetime = RULES[server].absolute * 1000;
            self.ends = self.ends.or(Range(begun + lifetime - 1000, now + lifetime));
            self.lifetime = self.lifetime.or(Range(lifetime, lifetime));
        }
    }

    pub(super) fn may_have_new_secret(&mut self, now: Millis) {
        self.secret_since = self.secret_since.or(Range(now, now));
        self.judge(|_, worth| match worth {
            Worth::Over(_) => Worth::Over(false),
            _ => Worth::Unknown,
        });
    }

    /// How long a browser may be told to keep the cookie.
    pub(super) fn cookie_ages(&self, server: usize) -> impl Iterator<Item = Option<u64>> {
        self.ages.iter().map(move |age| age.unwrap_or(RULES[server].cookie_age))
    }

    /// Whether it is certainly time for a new secret by itself, and whether it may be: as often as the server says, and after
    /// a tenth of the cookie's age.
    pub(super) fn rotation(&self, server: usize, now: Millis) -> (bool, bool) {
        let (mut sure, mut may) = (true, false);
        for age in self.cookie_ages(server) {
            let interval = RULES[server].rotate_every.into_iter().chain(age.map(|age| age / 10)).min();
            let Range(first, last) = self.secret_since;
            let since = |at: Millis| now.saturating_sub(at);
            // a secret from a time that is to come, because the clock was set back since, is put right
            let is_ahead = (first > now + 1000, last > now);
            sure &= interval.is_some_and(|interval| is_ahead.0 || since(last) >= interval * 1000);
            may |= interval.is_some_and(|interval| is_ahead.1 || since(first) + 1000 >= interval * 1000);
        }
        (sure, may)
    }

    pub(super) fn doubt(&mut self) {
        if self.alive == Alive::Yes {
            self.alive = Alive::Maybe;
        }
    }

    pub(super) fn name(&self) -> String {
        let user = self.users.iter().map(|user| user.map_or("nobody", |user| USERS[user])).collect::<Vec<_>>();
        format!("a session of {}", user.join(" or "))
    }
}
