//! What the application has in a session.

use super::Millis;
use super::Oracle;
use super::known::Range;
use super::sign_in::deadline;
use crate::contents::Contents;
use crate::server::RULES;
use crate::story::Act;

impl Oracle {
    /// A request did this, and it was acknowledged.
    pub(crate) fn changed(&mut self, nth: usize, act: Act, number: u64, server: usize, now: Millis) {
        let known = &mut self.sessions[nth];
        for contents in &mut known.contents {
            *contents = contents.after(act, number);
        }
        if let Act::SetIdle(seconds) = act {
            (known.idle, known.used) = (Range(seconds * 1000, seconds * 1000), Range(now, now));
        }
        if let Act::SetDeadline(seconds) = act {
            // what is there already is no change
            if known.deadline != deadline(seconds, now) {
                known.may_lose_its_deadline(server, now);
                (known.deadline, known.used) = (deadline(seconds, now), Range(now, now));
            }
        }
    }

    /// A request may have done this.
    pub(crate) fn maybe_changed(&mut self, nth: usize, act: Act, number: u64, server: usize, now: Millis) {
        let known = &mut self.sessions[nth];
        for contents in known.contents.clone() {
            let after = contents.after(act, number);
            if after.is_possible() && !known.contents.contains(&after) {
                known.contents.push(after);
            }
        }
        if let Act::SetIdle(seconds) = act {
            known.idle = known.idle.or(Range(seconds * 1000, seconds * 1000));
        }
        if let Act::SetDeadline(seconds) = act {
            known.may_lose_its_deadline(server, now);
            known.deadline = known.deadline.or(deadline(seconds, now));
        }
    }

    /// What is acknowledged is there: only what this says of the contents is possible, if anything is.
    pub(crate) fn only(&mut self, nth: usize, is_so: impl Fn(&Contents) -> bool) {
        self.sessions[nth].contents.retain(is_so);
    }

    /// A session's deadline is one that was given and acknowledged.
    pub(crate) fn ends_by(&mut self, nth: usize, seconds: Option<u64>, now: Millis) {
        self.sessions[nth].deadline = deadline(seconds, now);
    }

    /// What the application has in a session, where that is known.
    pub(crate) fn contents(&self, nth: usize) -> Option<&Contents> {
        match &self.sessions[nth].contents[..] {
            [contents] => Some(contents),
            _ => None,
        }
    }

    /// Whether an idle timeout is certainly allowed, and whether it may be.
    pub(crate) fn allows_idle(&self, nth: Option<usize>, seconds: u64, server: usize) -> (bool, bool) {
        let own = nth.map_or(Range(0, 0), |nth| self.sessions[nth].longest_idle());
        let usual = RULES[server].absolute * 1000;
        (seconds * 1000 <= own.0.max(usual), seconds * 1000 <= own.1.max(usual))
    }
}
