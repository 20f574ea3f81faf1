//! When a session ends, and what may come back: by a clock that is set back, or by a copy that is restored.

use super::known::{Alive, Known, Worth};
use super::{Millis, Oracle, Wrong, secs};

impl Oracle {
    pub(crate) fn ended(&mut self, sessions: &[usize]) {
        for nth in sessions {
            self.sessions[*nth].alive = Alive::No;
        }
    }

    pub(crate) fn doubt(&mut self, sessions: &[usize]) {
        for nth in sessions {
            self.sessions[*nth].doubt();
        }
    }

    /// The clock may have been set back, to `now`: what had ended by its time before may be there again or not. Where the
    /// store does not keep the time that it has told, a held secret whose grace was over may be held again.
    pub(crate) fn set_back(&mut self, before: Millis, now: Millis, keeps_time: bool) {
        if now >= before {
            return;
        }
        self.latest = self.latest.max(before);
        for known in &mut self.sessions {
            if before >= known.lives_until() {
                known.doubt();
            }
            if !keeps_time {
                known.judge(|_, worth| if matches!(worth, Worth::Over(_)) { Worth::Unknown } else { worth });
            }
        }
    }

    /// A session was made again as it was when this was known.
    pub(crate) fn restored(&mut self, id: &str, then: &Oracle, now: Millis) -> Result<(), Wrong> {
        let (Some(nth), Some(was)) = (self.by_id.get(id), then.by_id.get(id)) else { return Ok(()) };
        let (known, was) = (&mut self.sessions[*nth], &then.sessions[*was]);
        if known.lives(now) {
            return Err(format!("{} lives, and is made again", known.name()));
        }
        if now >= was.gone_from() {
            return Err(format!("{} had ended, and is made again", was.name()));
        }
        let later = |(token, _): &&(String, Worth)| !was.tokens.iter().any(|(known, _)| known == token);
        let later: Vec<_> =
            known.tokens.iter().filter(later).map(|(token, _)| (token.clone(), Worth::Nothing)).collect();
        // a sign-in since the copy looks like one that was cut off
        let since = known.users.iter().flatten().filter(|user| !was.users.contains(&Some(**user)));
        let begun = was.begun.iter().copied().chain(since.map(|user| (*user, now))).collect();
        *known = Known { alive: Alive::Maybe, order: None, begun, ..was.clone() };
        known.tokens.splice(..0, later);
        Ok(())
    }

    /// Whether a session that was known like this may have ended by now.
    pub(crate) fn may_have_ended(&self, id: &str, now: Millis) -> Result<(), Wrong> {
        match self.by_id.get(id).map(|nth| &self.sessions[*nth]) {
            Some(was) if now < was.lives_until() => Err(format!("{} had not ended, and is not made again", was.name())),
            _ => Ok(()),
        }
    }

    /// Judges when a session ends, as an operator sees it.
    pub(crate) fn ends(&mut self, nth: usize, ends: Option<Millis>, now: Millis) -> Result<(), Wrong> {
        let known = &self.sessions[nth];
        let name = known.name();
        match ends {
            Some(_) if known.alive == Alive::No => Err(format!("{name} had ended, and is stored")),
            Some(ends) if ends > known.gone_from() => {
                Err(format!("{name} ends {} s too late", secs(ends - known.gone_from())))
            }
            Some(ends) if known.alive == Alive::Yes && ends < known.lives_until() => {
                Err(format!("{name} ends {} s too early", secs(known.lives_until() - ends)))
            }
            None if known.lives(now) => Err(format!("{name} lives, and is not stored")),
            _ => Ok(()),
        }
    }
}
