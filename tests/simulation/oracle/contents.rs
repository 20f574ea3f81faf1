//! What the application has in a session.

use super::Millis;
use super::Oracle;
use super::known::Range;
use crate::contents::Contents;
use crate::server::RULES;
use crate::story::Act;

impl Oracle {
    /// A request did this, and it was acknowledged.
    pub(crate) fn changed(&mut self, nth: usize, act: Act, number: u64, now: Millis) {
        let known = &mut self.sessions[nth];
        for contents in &mut known.contents {
            *contents = contents.after(act, number);
        }
        if let Act::SetIdle(seconds) = act {
            (known.idle, known.used) = (Range(seconds * 1000, seconds * 1000), Range(now, now));
        }
    }

    /// A request may have done this.
    pub(crate) fn maybe_changed(&mut self, nth: usize, act: Act, number: u64) {
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
    }

    /// What is acknowledged is there: only what this says of the contents is possible, if anything is.
    pub(crate) fn only(&mut self, nth: usize, is_so: impl Fn(&Contents) -> bool) {
        self.sessions[nth].contents.retain(is_so);
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
        let own = nth.map_or(Range(0, 0), |nth| self.sessions[nth].lifetime);
        let usual = RULES[server].absolute * 1000;
        (seconds * 1000 <= own.0.max(usual), seconds * 1000 <= own.1.max(usual))
    }
}
