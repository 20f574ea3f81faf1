//! Which secrets open a session, and when it is time for a new one.

use super::known::{Range, Worth};
use super::{Millis, Oracle};

impl Oracle {
    /// Whether it is certainly time for a new secret, and whether it may be.
    pub(crate) fn rotation(&self, nth: usize, server: usize, now: Millis) -> (bool, bool) {
        self.sessions[nth].rotation(server, now)
    }

    /// The session has a new secret, and the one before is held.
    pub(crate) fn rotated(&mut self, nth: usize, from: &str, to: &str, now: Millis) {
        let known = &mut self.sessions[nth];
        known.secret_since = Range(now, now);
        known.judge(|token, _| if token == from { Worth::Held(None, None) } else { Worth::Nothing });
        known.tokens.push((to.to_owned(), Worth::Current));
    }

    /// The session has a new secret, and none from before is worth anything.
    pub(crate) fn elevated(&mut self, nth: usize, to: &str, now: Millis) {
        let known = &mut self.sessions[nth];
        known.secret_since = Range(now, now);
        known.judge(|_, _| Worth::Nothing);
        known.tokens.push((to.to_owned(), Worth::Current));
    }

    /// The session may have other secrets now, this one perhaps.
    pub(crate) fn maybe_rotated(&mut self, nth: usize, to: Option<&str>, now: Millis) {
        let known = &mut self.sessions[nth];
        known.may_have_new_secret(now);
        known.tokens.extend(to.map(|token| (token.to_owned(), Worth::Unknown)));
    }
}
