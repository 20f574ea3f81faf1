//! Who is signed in where, and what their sign-in granted.

use super::known::{Alive, Known, NO_DEADLINE, Range, Worth};
use super::{Millis, Oracle, Wrong};
use crate::contents::Contents;
use crate::server::{PROVED_AGO, RULES, Rules, cookie_age, granted};
use crate::story::{Grant, HOUR};

impl Oracle {
    /// A new session, for a visitor.
    pub(crate) fn begun(&mut self, token: &str, server: usize, now: Millis) -> Result<usize, Wrong> {
        if self.session_of(token).is_some() {
            return Err("a new session has the id of a former one".to_owned());
        }
        let Rules { idle, absolute, .. } = RULES[server];
        let (idle, absolute) = (idle * 1000, absolute * 1000);
        let id = token.split('.').next().expect("a token has an id").to_owned();
        self.by_id.insert(id.clone(), self.sessions.len());
        self.sessions.push(Known {
            id,
            alive: Alive::Yes,
            users: vec![None],
            contents: vec![Contents::default()],
            tokens: vec![(token.to_owned(), Worth::Current)],
            used: Range(now, now),
            idle: Range(idle, idle),
            lifetime: Range(absolute, absolute),
            is_said: false,
            ends: Range(now + absolute - 1000, now + absolute),
            deadline: NO_DEADLINE,
            ages: vec![None],
            proved: Range(now, now),
            secret_since: Range(now, now),
            order: None,
            begun: Vec::new(),
        });
        Ok(self.sessions.len() - 1)
    }

    /// A user signed in: the session is theirs, for as long as was granted.
    pub(crate) fn bound(&mut self, nth: usize, user: usize, grant: Grant, server: usize, now: Millis) {
        self.sign_ins += 1;
        let known = &mut self.sessions[nth];
        let again = known.is_of(user);
        known.grant(grant, server, now, again);
        known.secret_since = Range(now, now);
        known.proved = proved(grant, now);
        known.users = vec![Some(user)];
        known.used = Range(now, now);
        known.alive = Alive::Yes;
        known.order = Some(self.sign_ins);
    }

    /// A user may have signed in.
    pub(crate) fn maybe_bound(&mut self, nth: usize, user: usize, grant: Grant, server: usize, now: Millis) {
        let known = &mut self.sessions[nth];
        known.may_have_new_secret(now);
        known.may_be_used(now);
        if !known.users.iter().any(|is| is.is_none() || *is == Some(user)) {
            known.doubt(); // then it was ended
            return;
        }
        let (idle, lifetime, ends, is_said) = (known.idle, known.lifetime, known.ends, known.is_said);
        let deadline = known.deadline;
        let ages = known.ages.clone();
        known.proved = known.proved.or(proved(grant, now));
        let was_again = known.may_be_of(user);
        for again in [false, true] {
            if !again || was_again {
                let (before_idle, before_lifetime, before_ends) = (known.idle, known.lifetime, known.ends);
                let before_ages = std::mem::replace(&mut known.ages, ages.clone());
                (known.idle, known.lifetime, known.is_said) = (idle, lifetime, is_said);
                known.grant(grant, server, now, again);
                known.idle = known.idle.or(before_idle);
                known.lifetime = known.lifetime.or(before_lifetime);
                known.ends = known.ends.or(before_ends);
                known.ages.extend(before_ages);
            }
        }
        known.ends = known.ends.or(ends);
        known.deadline = known.deadline.or(deadline);
        known.ages.extend(ages);
        known.ages.sort();
        known.ages.dedup();
        known.is_said = false;
        if !known.may_be_of(user) {
            known.users.push(Some(user));
        }
        if known.users.iter().any(|is| is.is_some_and(|is| is != user)) {
            known.doubt();
        }
        known.order = None;
    }

    /// Whether its user has certainly proved who they are in so many seconds, and whether they may have.
    pub(crate) fn is_recent(&self, nth: usize, seconds: u64, now: Millis) -> (bool, bool) {
        let since = |at: Millis| now.saturating_sub(at);
        let Range(first, last) = self.sessions[nth].proved;
        // times of sign-in are whole seconds
        (since(first) + 1000 <= seconds * 1000, since(last) <= seconds * 1000)
    }

    /// Whether a cookie of this age may be set for a session.
    pub(crate) fn may_be_kept_for(&self, nth: usize, age: Option<u64>, server: usize) -> bool {
        self.sessions[nth].cookie_ages(server).any(|known| known == age)
    }

    /// A sign-in began with one session and came to another: it may have brought along what was granted there.
    pub(crate) fn may_be_granted_as(&mut self, nth: usize, from: usize) {
        let (idle, lifetime) = (self.sessions[from].idle, self.sessions[from].lifetime);
        let ages = self.sessions[from].ages.clone();
        let known = &mut self.sessions[nth];
        known.ages.extend(ages);
        (known.idle, known.lifetime) = (known.idle.or(idle), known.lifetime.or(lifetime));
        known.ends =
            Range(known.ends.0.min(known.used.0 + lifetime.0 - 1000), known.ends.1.max(known.used.1 + lifetime.1));
    }
}

impl Known {
    /// "Signing in again as the same user keeps what was granted, unless other options are given."
    fn grant(&mut self, grant: Grant, server: usize, now: Millis, again: bool) {
        let rules = &RULES[server];
        let usual = (Range(rules.idle * 1000, rules.idle * 1000), Range(rules.absolute * 1000, rules.absolute * 1000));
        (self.idle, self.lifetime, self.is_said) = match granted(grant) {
            Some((idle, absolute)) => (Range(idle * 1000, idle * 1000), Range(absolute * 1000, absolute * 1000), true),
            None if again && self.is_said => (self.idle, self.lifetime, true),
            // what one server gives everybody may be more than another does: either will do
            None if again => (self.idle.or(usual.0), self.lifetime.or(usual.1), false),
            None => (usual.0, usual.1, false),
        };
        self.ages = match cookie_age(grant) {
            Some(age) => vec![Some(age)],
            None if again => self.ages.clone(),
            None => vec![None],
        };
        if grant == Grant::Until {
            self.deadline = deadline(Some(HOUR), now);
        }
        self.idle.0 = self.idle.0.min(self.lifetime.0);
        self.ends = Range(now + self.lifetime.0 - 1000, now + self.lifetime.1);
    }
}

/// A deadline that is so many seconds away, as it is kept: in whole seconds.
pub(super) fn deadline(seconds: Option<u64>, now: Millis) -> Range {
    let at = |seconds| (now + seconds * 1000) / 1000 * 1000;
    seconds.map_or(NO_DEADLINE, |seconds| Range(at(seconds), at(seconds)))
}

fn proved(grant: Grant, now: Millis) -> Range {
    let at = if grant == Grant::Provider { now - PROVED_AGO * 1000 } else { now };
    Range(at, at)
}
