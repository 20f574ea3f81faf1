//! How many sessions a user may have, and which of them count.

use super::known::LONGEST_SIGN_IN;
use super::{Millis, Oracle};

impl Oracle {
    /// A sign-in of this user was cut off, perhaps with a session that is known. Where it takes several steps, it counts as on
    /// its way for an hour: until then the session may count towards the limit, and end with the user's.
    pub(crate) fn sign_in_cut_off(&mut self, nth: Option<usize>, user: usize, now: Millis) {
        self.cut_off.push((user, now));
        if let Some(nth) = nth {
            self.sessions[nth].begun.push((user, now));
        }
    }

    /// Whether a sign-in of this user with this session was cut off, and may still be on its way.
    pub(crate) fn has_begun(&self, nth: usize, user: usize, now: Millis) -> bool {
        self.sessions[nth].has_begun(user, now)
    }

    /// How many more sessions of a user may count towards the limit than are known.
    pub(crate) fn on_their_way(&self, user: usize, now: Millis) -> usize {
        self.cut_off.iter().filter(|(who, at)| *who == user && now <= at + LONGEST_SIGN_IN).count()
    }

    /// It signed in again where there are too many already: it may have kept its place.
    pub(crate) fn may_keep_its_place(&mut self, nth: usize) {
        self.sessions[nth].order = None;
    }

    /// The sessions of a user but one that certainly live, and those that may.
    pub(crate) fn of_user(&self, user: usize, but: Option<usize>, now: Millis) -> (Vec<usize>, Vec<usize>) {
        let others = || (0..self.sessions.len()).filter(|nth| Some(*nth) != but);
        let sure = others().filter(|nth| self.sessions[*nth].lives(now) && self.sessions[*nth].is_of(user));
        let may =
            others().filter(|nth| self.sessions[*nth].may_live(now) && self.sessions[*nth].may_end_with(user, now));
        (sure.collect(), may.collect())
    }

    /// Those of a user that signed in longest ago have ended, so that the limit holds.
    pub(crate) fn evicted(&mut self, user: usize, new: usize, limit: usize, now: Millis) {
        let (sure, may) = self.of_user(user, Some(new), now);
        let more = self.on_their_way(user, now);
        if more > 0 || sure.len() != may.len() || sure.iter().any(|nth| self.sessions[*nth].order.is_none()) {
            if may.len() + more >= limit {
                self.doubt(&may);
            }
            return;
        }
        let mut others = sure;
        others.sort_by_key(|nth| self.sessions[*nth].order);
        let excess = (others.len() + 1).saturating_sub(limit);
        self.ended(&others[..excess]);
    }
}
