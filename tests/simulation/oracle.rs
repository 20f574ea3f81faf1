//! What the documentation promises, and nothing of how it is done: who may be signed in where, what each browser must and
//! must not see, what each count may be, and when what must have ended.
//!
//! What it cannot know (an answer that was lost, two requests at the same time) it keeps as several possibilities, and
//! learns from what is seen next.

use std::collections::HashMap;

use crate::contents::Contents;
use crate::server::{PROVED_AGO, RULES, Rules, Seen, cookie_age, granted};
use crate::story::{Act, DAY, Grant, HOUR, USERS};

/// After an hour and some seconds, a sign-in that was cut off is not on its way any more.
const LONGEST_SIGN_IN: Millis = HOUR * 1000 + 10_000;

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
    /// For whom a sign-in was cut off, and when.
    cut_off: Vec<(usize, Millis)>,
}

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
struct Range(u64, u64);

impl Range {
    fn or(self, other: Range) -> Range {
        Range(self.0.min(other.0), self.1.max(other.1))
    }
}

#[derive(Clone)]
struct Known {
    id: String,
    alive: Alive,
    users: Vec<Option<usize>>,
    contents: Vec<Contents>,
    tokens: Vec<(String, Worth)>,
    /// When it was last used.
    used: Range,
    idle: Range,
    /// How long the last sign-in granted it at all, and whether that was said.
    lifetime: Range,
    is_said: bool,
    /// Its absolute end.
    ends: Range,
    /// How long the last sign-in has the browser keep the cookie, where it said so.
    ages: Vec<Option<Option<u64>>>,
    /// When its user proved who they are.
    proved: Range,
    /// When it got its secret.
    secret_since: Range,
    /// Its place among the user's sign-ins, where it is known.
    order: Option<u64>,
    /// The users for whom a sign-in began that was cut off, and when: it may have written the session into their index.
    begun: Vec<(usize, Millis)>,
}

impl Known {
    fn lives_until(&self) -> Millis {
        (self.used.0 + self.idle.0).min(self.ends.0)
    }

    fn gone_from(&self) -> Millis {
        (self.used.1 + self.idle.1).min(self.ends.1)
    }

    fn lives(&self, now: Millis) -> bool {
        self.alive == Alive::Yes && now < self.lives_until()
    }

    fn may_live(&self, now: Millis) -> bool {
        self.alive != Alive::No && now < self.gone_from()
    }

    fn is_of(&self, user: usize) -> bool {
        self.users == [Some(user)]
    }

    fn may_be_of(&self, user: usize) -> bool {
        self.users.contains(&Some(user))
    }

    /// Whether it may end with the user's: it is theirs, or a sign-in of theirs may still be on its way to it.
    fn may_end_with(&self, user: usize, now: Millis) -> bool {
        let may_be_on_its_way = |(who, at): &(usize, Millis)| *who == user && now <= at + LONGEST_SIGN_IN;
        self.may_be_of(user) || self.begun.iter().any(may_be_on_its_way)
    }

    fn worth(&self, token: &str) -> Worth {
        self.tokens.iter().find(|(known, _)| known == token).map_or(Worth::Unknown, |(_, worth)| *worth)
    }

    /// Sets what each token is worth by what it was, newest last.
    fn judge(&mut self, judge: impl Fn(&str, Worth) -> Worth) {
        for (token, worth) in &mut self.tokens {
            if *worth != Worth::Nothing {
                *worth = judge(token, *worth);
            }
        }
    }

    fn may_have_new_secret(&mut self, now: Millis) {
        self.secret_since.1 = now;
        self.judge(|_, worth| match worth {
            Worth::Over(_) => Worth::Over(false),
            _ => Worth::Unknown,
        });
    }

    /// How long a browser may be told to keep the cookie.
    fn cookie_ages(&self, server: usize) -> impl Iterator<Item = Option<u64>> {
        self.ages.iter().map(move |age| age.unwrap_or(RULES[server].cookie_age))
    }

    /// Whether it is certainly time for a new secret by itself, and whether it may be: as often as the server says, and after
    /// a tenth of the cookie's age.
    fn rotation(&self, server: usize, now: Millis) -> (bool, bool) {
        let (mut sure, mut may) = (true, false);
        for age in self.cookie_ages(server) {
            let interval = RULES[server].rotate_every.into_iter().chain(age.map(|age| age / 10)).min();
            let since = |at: Millis| now.saturating_sub(at);
            sure &= interval.is_some_and(|interval| since(self.secret_since.1) >= interval * 1000);
            may |= interval.is_some_and(|interval| since(self.secret_since.0) + 1000 >= interval * 1000);
        }
        (sure, may)
    }

    fn doubt(&mut self) {
        if self.alive == Alive::Yes {
            self.alive = Alive::Maybe;
        }
    }

    fn name(&self) -> String {
        let user = self.users.iter().map(|user| user.map_or("nobody", |user| USERS[user])).collect::<Vec<_>>();
        format!("a session of {}", user.join(" or "))
    }
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

    /// Judges what somebody with this token sees. The session, if it is opened. With `learn` it is how things are now.
    pub(crate) fn sees(
        &mut self,
        token: Option<&str>,
        seen: &Seen,
        now: Millis,
        learn: bool,
    ) -> Result<Option<usize>, Wrong> {
        let Some((token, nth)) = token.and_then(|token| Some((token, self.session_of(token)?))) else {
            return if *seen == Seen::default() { Ok(None) } else { Err(format!("without a token it sees {seen:?}")) };
        };
        let known = &mut self.sessions[nth];
        let worth = known.worth(token);
        if seen.id.is_none() {
            if *seen != Seen::default() {
                return Err(format!("without a session it sees {seen:?}"));
            }
            let reads = match worth {
                Worth::Current => true,
                Worth::Held(must, _) => must.is_none_or(|must| now < must),
                Worth::Over(_) | Worth::Nothing | Worth::Unknown => false,
            };
            if reads && known.lives(now) {
                return Err(format!(
                    "{} is not seen, with {worth:?}, {} s too early",
                    known.name(),
                    secs(known.lives_until() - now)
                ));
            }
            if learn && reads {
                known.alive = Alive::No; // it was told
            }
            if learn && matches!(worth, Worth::Held(_, Some(may)) if now >= may) {
                known.judge(|other, worth| if other == token { Worth::Over(true) } else { worth });
            }
            return Ok(None);
        }
        let user = seen.user.as_deref().map(|user| USERS.iter().position(|name| *name == user).expect("a user"));
        let why = match worth {
            _ if seen.id.as_deref() != Some(&known.id) => Some("another session is seen".to_owned()),
            _ if known.alive == Alive::No => Some("it had ended, and lives again".to_owned()),
            _ if now >= known.gone_from() => {
                Some(format!("it should have ended {} s ago", secs(now - known.gone_from())))
            }
            Worth::Nothing => Some("an old secret opens it".to_owned()),
            Worth::Over(_) => Some("a held secret opens it again".to_owned()),
            Worth::Held(_, Some(may)) if now >= may => Some("a held secret opens it after its grace".to_owned()),
            _ if !known.users.contains(&user) => Some(format!("{:?} is signed in", seen.user)),
            _ if !known.contents.contains(&seen.contents) => {
                Some(format!("it holds {:?}, not {:?}", seen.contents, known.contents))
            }
            _ => None,
        };
        if let Some(why) = why {
            return Err(format!("{}: {why}", known.name()));
        }
        if learn {
            known.alive = Alive::Yes;
            known.users = vec![user];
            known.contents = vec![seen.contents.clone()];
        }
        Ok(Some(nth))
    }

    /// A request came with this token to a server that ends sessions whose old secrets show up, and the token opened nothing.
    pub(crate) fn replayed(&mut self, token: &str) {
        let Some(nth) = self.session_of(token) else { return };
        let known = &mut self.sessions[nth];
        match known.worth(token) {
            Worth::Held(..) | Worth::Over(true) => known.alive = Alive::No,
            Worth::Over(false) | Worth::Unknown => known.doubt(),
            Worth::Current | Worth::Nothing => {}
        }
    }

    /// A request came with this token, was answered, and nothing was unclear about it.
    pub(crate) fn used(&mut self, nth: usize, token: &str, server: usize, now: Millis) {
        let known = &mut self.sessions[nth];
        known.used.1 = now;
        if known.worth(token) == Worth::Current {
            let idle = known.idle.1;
            let touch =
                RULES[server].touch.map(|touch| touch * 1000).filter(|touch| *touch < idle).unwrap_or(idle / 10);
            known.used.0 = known.used.0.max(now.saturating_sub(touch));
            known.judge(|_, worth| match worth {
                // the browser has the new secret: the grace begins
                Worth::Held(None, None) => {
                    let until = now + RULES[server].grace * 1000;
                    Worth::Held(Some(until), Some(until + 1000))
                }
                other => other,
            });
        }
    }

    /// A request may have come with this token.
    pub(crate) fn may_be_used(&mut self, nth: usize, server: usize, now: Millis) {
        let known = &mut self.sessions[nth];
        known.used.1 = now;
        if known.rotation(server, now).1 {
            known.may_have_new_secret(now);
        }
        known.judge(|_, worth| match worth {
            Worth::Held(must, may) => Worth::Held(Some(must.unwrap_or(now).min(now)), may),
            other => other,
        });
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
            ages: vec![None],
            proved: Range(now, now),
            secret_since: Range(now, now),
            order: None,
            begun: Vec::new(),
        });
        Ok(self.sessions.len() - 1)
    }

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

    /// Whether it is certainly time for a new secret, and whether it may be.
    pub(crate) fn rotation(&self, nth: usize, server: usize, now: Millis) -> (bool, bool) {
        self.sessions[nth].rotation(server, now)
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
        known.used.1 = now;
        if !known.users.iter().any(|is| is.is_none() || *is == Some(user)) {
            known.doubt(); // then it was ended
            return;
        }
        let (idle, lifetime, ends, is_said) = (known.idle, known.lifetime, known.ends, known.is_said);
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

    /// A sign-in of this user was cut off, perhaps with a session that is known. Where it takes several steps, it counts as on
    /// its way for an hour: until then the session may count towards the limit, and end with the user's.
    pub(crate) fn sign_in_cut_off(&mut self, nth: Option<usize>, user: usize, now: Millis) {
        self.cut_off.push((user, now));
        if let Some(nth) = nth {
            self.sessions[nth].begun.push((user, now));
        }
    }

    /// How many more sessions of a user may count towards the limit than are known.
    pub(crate) fn on_their_way(&self, user: usize, now: Millis) -> usize {
        self.cut_off.iter().filter(|(who, at)| *who == user && now <= at + LONGEST_SIGN_IN).count()
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

    /// The clock may have been set back, to `now`: what had ended by its time before may be there again or not.
    pub(crate) fn set_back(&mut self, before: Millis, now: Millis) {
        if now < before {
            for known in self.sessions.iter_mut().filter(|known| before >= known.lives_until()) {
                known.doubt();
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
        *known = Known { alive: Alive::Maybe, order: None, ..was.clone() };
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

    /// Judges a list of a user's sessions, and learns from it.
    pub(crate) fn listed(&mut self, user: usize, ids: &[String], now: Millis) -> Result<(), Wrong> {
        let name = USERS[user];
        for id in ids {
            let nth = match self.by_id.get(id) {
                Some(nth) => *nth,
                None => self.stranger(id, user, now),
            };
            let known = &mut self.sessions[nth];
            if !known.may_live(now) || !known.may_be_of(user) {
                return Err(format!(
                    "the list of {name}'s sessions has {}, which lives: {:?}",
                    known.name(),
                    known.alive
                ));
            }
            known.alive = Alive::Yes;
            known.users = vec![Some(user)];
        }
        self.ordered(ids).map_err(|wrong| format!("the list of {name}'s sessions {wrong}"))?;
        for known in self.sessions.iter_mut().filter(|known| known.may_be_of(user) && !ids.contains(&known.id)) {
            if known.lives(now) && known.is_of(user) {
                return Err(format!("the list of {name}'s sessions misses one that lives"));
            }
            match known.is_of(user) {
                true => known.alive = Alive::No,
                false => known.users.retain(|is| *is != Some(user)),
            }
        }
        Ok(())
    }

    /// A session whose token reached nobody.
    fn stranger(&mut self, id: &str, user: usize, now: Millis) -> usize {
        let longest = 30 * DAY * 1000;
        self.by_id.insert(id.to_owned(), self.sessions.len());
        self.sessions.push(Known {
            id: id.to_owned(),
            alive: Alive::Yes,
            users: vec![Some(user)],
            contents: vec![Contents::default()],
            tokens: Vec::new(),
            used: Range(0, now),
            idle: Range(0, longest),
            lifetime: Range(0, longest),
            is_said: false,
            ends: Range(0, now + longest),
            ages: vec![None, Some(None), Some(Some(30 * DAY))],
            proved: Range(0, now),
            secret_since: Range(0, now),
            order: None,
            begun: Vec::new(),
        });
        self.sessions.len() - 1
    }

    /// Judges the order of a list, the latest sign-in first, and learns from it.
    fn ordered(&mut self, ids: &[String]) -> Result<(), Wrong> {
        let listed: Vec<usize> = ids.iter().rev().filter_map(|id| self.by_id.get(id).copied()).collect();
        let orders: Vec<u64> = listed.iter().filter_map(|nth| self.sessions[*nth].order).collect();
        if !orders.is_sorted() {
            return Err("is not in the order of sign-in".to_owned());
        }
        for nth in listed {
            self.sign_ins += 1;
            self.sessions[nth].order = Some(self.sign_ins);
        }
        Ok(())
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
        self.idle.0 = self.idle.0.min(self.lifetime.0);
        self.ends = Range(now + self.lifetime.0 - 1000, now + self.lifetime.1);
    }
}

fn proved(grant: Grant, now: Millis) -> Range {
    let at = if grant == Grant::Provider { now - PROVED_AGO * 1000 } else { now };
    Range(at, at)
}

fn secs(millis: Millis) -> f64 {
    millis as f64 / 1000.0
}
