//! What must come of one request about which nothing is unclear.

use super::{Answer, Cookie, Sent, World};
use crate::contents::Contents;
use crate::oracle::{Worth, Wrong};
use crate::place::Place;
use crate::server::{RECENT, RULES, Rules, Told};
use crate::story::{Act, Grant};

impl<P: Place> World<P> {
    pub(super) async fn clear(&mut self, sent: &Sent, answer: &Answer) -> Result<(), Wrong> {
        let users = self.judge(sent, answer).map_err(|wrong| sent.says(wrong))?;
        self.judge_age(sent, answer)?;
        if sent.ask.act == Act::Look && answer.cookie.is_none() {
            return Ok(());
        }
        for user in users {
            let listed = self.list(user).await?;
            let Rules { limit, refuses, .. } = RULES[sent.ask.server];
            // where new ones are refused, those that were there stay
            if answer.status == 200
                && matches!(sent.ask.act, Act::SignIn(to, _) if to == user)
                && !refuses
                && listed > limit
            {
                return Err(sent.says(format!("after a sign-in there are {listed} sessions, and {limit} are allowed")));
            }
        }
        for token in self.oracle.tokens(self.now(), false) {
            self.try_token(&token).await?;
        }
        Ok(())
    }

    /// Whose sessions should be listed now.
    fn judge(&mut self, sent: &Sent, answer: &Answer) -> Result<Vec<usize>, Wrong> {
        let now = self.now();
        let token = sent.token.as_deref();
        let opened = match answer.before() {
            Some(seen) => self.oracle.sees(token, seen, now, true)?,
            None => None,
        };
        if let (true, None, Some(_), Some(token)) = (RULES[sent.ask.server].revokes, opened, answer.before(), token) {
            self.oracle.replayed(token);
        }
        let worth = opened.map(|nth| self.oracle.worth(nth, token.unwrap_or_default()));
        if let Some(nth) = opened {
            self.oracle.used(nth, token.unwrap_or_default(), sent.ask.server, now);
        }
        if !RULES[sent.ask.server].allows(sent.ask.act) {
            answered(answer, &[500])?;
            silent(answer)?;
            return Ok(Vec::new());
        }
        match sent.ask.act {
            Act::SignIn(user, grant) => return self.signed_in(sent, answer, opened, user, grant),
            Act::Rotate | Act::Elevate => self.rotated(sent, answer, opened, worth)?,
            Act::SignOut => self.signed_out(sent, answer, opened)?,
            Act::Leave => self.left(sent, answer, opened)?,
            Act::RevokeUser(user) => {
                self.told_number(answer, user, None)?;
                return Ok(vec![user]);
            }
            Act::RevokeSession(nth) => self.told_whether(answer, nth, None)?,
            Act::SignOutDevice(_) | Act::SignOutOthers | Act::SignOutEverywhere | Act::Devices => {
                self.about_devices(sent, answer, opened)?;
            }
            Act::LookRecent => self.looked_recent(sent, answer, opened)?,
            Act::SetDeadline(_) => self.set_deadline(sent, answer, opened)?,
            Act::SetIdle(seconds) => self.set_idle(sent, answer, opened, seconds)?,
            Act::Look
            | Act::Put
            | Act::Count
            | Act::Form
            | Act::Push
            | Act::Append
            | Act::Take
            | Act::Clear
            | Act::Fields => {
                self.changed(sent, answer, opened)?;
            }
        }
        Ok(Vec::new())
    }

    fn changed(&mut self, sent: &Sent, answer: &Answer, opened: Option<usize>) -> Result<(), Wrong> {
        let (act, number, now) = (sent.ask.act, sent.wanted.number, self.now());
        answered(answer, &[200])?;
        let before = opened.map_or(Ok(Contents::default()), |nth| {
            self.oracle.contents(nth).cloned().ok_or("what was seen is known".to_owned())
        })?;
        let after = before.after(act, number);
        let expected = match act {
            Act::Count => Told::Number(after.count.unwrap_or_default()),
            Act::Append => Told::Number(after.notes.as_ref().map_or(0, Vec::len) as i64),
            Act::Take => Told::Notes(before.notes.clone()),
            Act::Fields => Told::Names(before.names()),
            _ => Told::Nothing,
        };
        if *told(answer)? != expected {
            return Err(format!("it is told {:?}, not {expected:?}", told(answer)?));
        }
        let nth = match opened {
            Some(nth) => {
                self.kept(sent, answer, nth)?;
                nth
            }
            // no session without a reason
            None if after == before => return silent(answer),
            None => {
                let token = answer.set().ok_or("a session was made, and no cookie set")?;
                self.oracle.begun(token, sent.ask.server, now)?
            }
        };
        self.oracle.changed(nth, act, number, sent.ask.server, now);
        Ok(())
    }

    fn set_idle(&mut self, sent: &Sent, answer: &Answer, opened: Option<usize>, seconds: u64) -> Result<(), Wrong> {
        match self.oracle.allows_idle(opened, seconds, sent.ask.server) {
            (true, _) => answered(answer, &[200])?,
            (false, true) => answered(answer, &[200, 400])?,
            (false, false) => answered(answer, &[400])?,
        }
        let Some(nth) = opened else { return silent(answer) };
        if answer.status == 200 {
            self.oracle.changed(nth, sent.ask.act, 0, sent.ask.server, self.now());
        }
        self.kept(sent, answer, nth)
    }

    fn set_deadline(&mut self, sent: &Sent, answer: &Answer, opened: Option<usize>) -> Result<(), Wrong> {
        answered(answer, &[200])?;
        let Some(nth) = opened else { return silent(answer) };
        self.oracle.changed(nth, sent.ask.act, 0, sent.ask.server, self.now());
        self.kept(sent, answer, nth)
    }

    fn looked_recent(&mut self, sent: &Sent, answer: &Answer, opened: Option<usize>) -> Result<(), Wrong> {
        let Some(nth) = opened else {
            answered(answer, &[401])?;
            return silent(answer);
        };
        let signed_in = self.oracle.user(nth).is_some();
        match self.oracle.is_recent(nth, RECENT, self.now()) {
            (true, _) if signed_in => answered(answer, &[200])?,
            (false, true) if signed_in => answered(answer, &[200, 401])?,
            _ => answered(answer, &[401])?,
        }
        self.kept(sent, answer, nth)
    }

    /// Who signs out and goes on has another session.
    fn left(&mut self, sent: &Sent, answer: &Answer, opened: Option<usize>) -> Result<(), Wrong> {
        let now = self.now();
        if answer.status == 401 && opened.is_none() {
            self.is_stale(sent)?;
            return silent(answer);
        }
        answered(answer, &[200])?;
        match (opened, sent.token.as_deref().and_then(|token| self.oracle.session_of(token))) {
            (None, Some(nth)) if self.oracle.lives(nth, now) => {
                return Err("it was told that it is signed out, and its session lives".to_owned());
            }
            (_, Some(nth)) => self.oracle.ended(&[nth]),
            (_, None) => {}
        }
        let token = answer.set().ok_or("a session was made, and no cookie set")?;
        let nth = self.oracle.begun(token, sent.ask.server, now)?;
        self.oracle.changed(nth, sent.ask.act, sent.wanted.number, sent.ask.server, now);
        Ok(())
    }

    /// Only the old secret of a session that lives is an error of a sign-out.
    fn is_stale(&self, sent: &Sent) -> Result<(), Wrong> {
        let nth = sent.token.as_deref().and_then(|token| self.oracle.session_of(token));
        match nth.is_some_and(|nth| self.oracle.may_live(nth, self.now())) {
            true => Ok(()),
            false => Err("whoever wants to be signed out and is, is refused".to_owned()),
        }
    }

    /// The session stays: it has the same secret, or a new one because it was time.
    fn kept(&mut self, sent: &Sent, answer: &Answer, nth: usize) -> Result<(), Wrong> {
        let now = self.now();
        let (must, may) = self.oracle.rotation(nth, sent.ask.server, now);
        // "A request that changes the session's own deadline leaves it to the next one."
        let must = must && !matches!(sent.ask.act, Act::SetDeadline(_));
        let brought = sent.token.as_deref().unwrap_or_default();
        match &answer.cookie {
            None if must && self.oracle.worth(nth, brought) == Worth::Current => {
                Err("it is time for a new secret, and there is none".to_owned())
            }
            None => Ok(()),
            Some(Cookie::Removed) => Err("a cookie is removed whose session lives".to_owned()),
            Some(Cookie::Set(..)) if !may => Err("a cookie is set without a reason".to_owned()),
            Some(Cookie::Set(token, _)) if self.oracle.session_of(token) != Some(nth) => {
                Err("a cookie is set for another session".to_owned())
            }
            Some(Cookie::Set(token, _)) => {
                self.oracle.rotated(nth, brought, token, now);
                Ok(())
            }
        }
    }

    fn rotated(
        &mut self,
        sent: &Sent,
        answer: &Answer,
        opened: Option<usize>,
        worth: Option<Worth>,
    ) -> Result<(), Wrong> {
        let (Some(nth), Some(worth)) = (opened, worth) else {
            answered(answer, &[200, 401])?;
            return silent(answer);
        };
        match worth {
            Worth::Current => answered(answer, &[200])?,
            Worth::Held(..) => answered(answer, &[409])?,
            _ => answered(answer, &[200, 409])?,
        }
        if answer.status == 409 {
            return silent(answer);
        }
        let token = answer.set().ok_or("there is a new secret, and no cookie")?;
        if self.oracle.session_of(token) != Some(nth) {
            return Err("a cookie is set for another session".to_owned());
        }
        match sent.ask.act {
            Act::Elevate => self.oracle.elevated(nth, token, self.now()),
            _ => self.oracle.rotated(nth, sent.token.as_deref().unwrap_or_default(), token, self.now()),
        }
        Ok(())
    }

    fn signed_out(&mut self, sent: &Sent, answer: &Answer, opened: Option<usize>) -> Result<(), Wrong> {
        if let Some(nth) = opened {
            answered(answer, &[200])?;
            if answer.cookie != Some(Cookie::Removed) {
                return Err("it signed out, and keeps its cookie".to_owned());
            }
            self.oracle.ended(&[nth]);
            return Ok(());
        }
        answered(answer, &[200, 401])?;
        if answer.status == 401 {
            self.is_stale(sent)?;
        }
        if answer.status == 200 && sent.token.is_some() && answer.cookie != Some(Cookie::Removed) {
            return Err("it is signed out, and keeps its cookie".to_owned());
        }
        if let Some(nth) = sent.token.as_deref().and_then(|token| self.oracle.session_of(token))
            && answer.status == 200
        {
            if self.oracle.lives(nth, self.now()) {
                return Err("it was told that it is signed out, and its session lives".to_owned());
            }
            self.oracle.ended(&[nth]);
        }
        match answer.set() {
            Some(_) => Err("a sign-out sets a cookie".to_owned()),
            None => Ok(()),
        }
    }

    fn about_devices(&mut self, sent: &Sent, answer: &Answer, opened: Option<usize>) -> Result<(), Wrong> {
        let (act, now) = (sent.ask.act, self.now());
        let nth = opened.filter(|nth| self.oracle.user(*nth).is_some());
        let Some(nth) = nth else {
            answered(answer, if act == Act::Devices || sent.wanted.id.is_none() { &[200, 401] } else { &[401] })?;
            return match opened {
                Some(nth) => self.kept(sent, answer, nth),
                None => silent(answer),
            };
        };
        let user = self.oracle.user(nth).expect("somebody is signed in");
        answered(answer, &[200])?;
        match act {
            Act::Devices => {
                let Told::Ids(ids) = told(answer)? else { return Err("a list was expected".to_owned()) };
                self.oracle.listed(user, ids, now)?;
            }
            Act::SignOutDevice(device) if sent.wanted.id.is_some() => {
                self.told_whether(answer, device, Some(user))?;
                if device == nth {
                    return match answer.cookie {
                        Some(Cookie::Removed) => Ok(()),
                        _ => Err("it signed this device out, and keeps its cookie".to_owned()),
                    };
                }
            }
            Act::SignOutOthers => self.told_number(answer, user, Some(nth))?,
            Act::SignOutEverywhere => {
                self.told_number(answer, user, None)?;
                return match answer.cookie {
                    Some(Cookie::Removed) => Ok(()),
                    _ => Err("it signed out everywhere, and keeps its cookie".to_owned()),
                };
            }
            _ => {}
        }
        self.kept(sent, answer, nth)
    }

    /// How many sessions of a user were ended, all but one.
    fn told_number(&mut self, answer: &Answer, user: usize, but: Option<usize>) -> Result<(), Wrong> {
        answered(answer, &[200])?;
        let (sure, may) = self.oracle.of_user(user, but, self.now());
        let told = told(answer)?;
        if !matches!(told, Told::Number(ended) if (sure.len()..=may.len()).contains(&(*ended as usize))) {
            return Err(format!("{told:?} sessions were ended, and {} to {} lived", sure.len(), may.len()));
        }
        let (theirs, others): (Vec<_>, Vec<_>) = may.into_iter().partition(|nth| self.oracle.user(*nth) == Some(user));
        self.oracle.ended(&theirs);
        if P::IS_ELSEWHERE {
            // a sign-in that is on its way ends as well, and its session with it
            self.oracle.doubt(&others);
        }
        Ok(())
    }

    /// Whether a session was ended, of this user where one asks.
    fn told_whether(&mut self, answer: &Answer, nth: usize, user: Option<usize>) -> Result<(), Wrong> {
        answered(answer, &[200])?;
        if self.oracle.id(nth).is_none() {
            return Ok(());
        }
        let now = self.now();
        let is_theirs = user.is_none() || self.oracle.user(nth) == user;
        let may_be_theirs = user.is_none() || self.oracle.users(nth).contains(&user);
        let ended = *told(answer)? == Told::Whether(true);
        if !ended && is_theirs && self.oracle.lives(nth, now) {
            return Err("a session that lives was not ended".to_owned());
        }
        if ended && !(may_be_theirs && self.oracle.may_live(nth, now)) {
            return Err("a session was ended that had ended, or is somebody else's".to_owned());
        }
        if ended || is_theirs {
            self.oracle.ended(&[nth]);
        }
        Ok(())
    }

    fn signed_in(
        &mut self,
        sent: &Sent,
        answer: &Answer,
        opened: Option<usize>,
        user: usize,
        grant: Grant,
    ) -> Result<Vec<usize>, Wrong> {
        let (server, now) = (sent.ask.server, self.now());
        let rules = &RULES[server];
        let was = opened.and_then(|nth| self.oracle.user(nth));
        let is_switched = was.is_some_and(|was| was != user);
        if let Some(nth) = opened.filter(|_| is_switched) {
            self.oracle.ended(&[nth]);
        }
        let target = opened.filter(|_| !is_switched);
        let (sure, may) = self.oracle.of_user(user, target, now);
        let mut users = vec![user];
        users.extend(was.filter(|_| is_switched));
        // a held secret may not sign in
        let worth = |nth| self.oracle.worth(nth, sent.token.as_deref().unwrap_or_default());
        if let (409, Some(nth)) = (answer.status, target)
            && worth(nth) != Worth::Current
        {
            match worth(nth) {
                Worth::Held(..) => silent(answer)?,
                _ => self.kept(sent, answer, nth)?,
            }
            return Ok(users);
        }
        answered(answer, &[200, 409])?;
        if answer.status == 409 {
            let more = self.oracle.on_their_way(user, now) + usize::from(was == Some(user));
            let is_full = may.len() + more >= rules.limit;
            if !rules.refuses || !is_full {
                return Err(format!("it is refused, and {} sessions live", may.len()));
            }
            match (target, answer.set()) {
                (Some(nth), _) => self.kept(sent, answer, nth)?,
                // a visitor without a session had got one before the limit was asked for
                (None, Some(token)) => drop(self.oracle.begun(token, server, now)?),
                (None, None) => {}
            }
            return Ok(users);
        }
        let token = answer.set().ok_or("somebody signed in, and no cookie is set")?;
        if opened.is_none() && self.is_second_click(sent, token, user) {
            let nth = self.oracle.session_of(token).expect("it is known");
            self.oracle.maybe_rotated(nth, Some(token), now);
            self.oracle.maybe_bound(nth, user, grant, server, now);
            // it is no new sign-in: no limit is applied
            return Ok(Vec::new());
        }
        // where the session's own sign-in was cut off, it has its place already
        let has_its_place = was == Some(user) || target.is_some_and(|nth| self.oracle.has_begun(nth, user, now));
        if rules.refuses && sure.len() >= rules.limit && !has_its_place {
            return Err(format!("it is not refused, and {} sessions live", sure.len()));
        }
        let nth = match target {
            Some(nth) if self.oracle.session_of(token) != Some(nth) => {
                return Err("it signed in, and its session was lived but is another one now".to_owned());
            }
            Some(nth) => nth,
            None => self.oracle.begun(token, server, now)?,
        };
        if target.is_some() {
            self.oracle.elevated(nth, token, now);
        }
        self.oracle.bound(nth, user, grant, server, now);
        if rules.refuses && may.len() + self.oracle.on_their_way(user, now) >= rules.limit {
            self.oracle.may_keep_its_place(nth);
        }
        if !rules.refuses {
            self.oracle.evicted(user, nth, rules.limit, now);
        }
        Ok(users)
    }
}

impl<P: Place> World<P> {
    /// Whether a sign-in is taken for the one whose answer did not arrive: it brought the secret from right before it.
    fn is_second_click(&self, sent: &Sent, token: &str, user: usize) -> bool {
        let Some(nth) = sent.token.as_deref().and_then(|token| self.oracle.session_of(token)) else { return false };
        let is_theirs = self.oracle.users(nth).contains(&Some(user));
        is_theirs && self.oracle.session_of(token) == Some(nth) && self.oracle.may_live(nth, self.now())
    }
}

fn answered(answer: &Answer, expected: &[u16]) -> Result<(), Wrong> {
    if expected.contains(&answer.status) {
        return Ok(());
    }
    let why = answer.said.as_ref().and_then(|said| said.told.clone().err()).unwrap_or_default();
    Err(format!("the answer is {}, not {expected:?}: {why}", answer.status))
}

fn silent(answer: &Answer) -> Result<(), Wrong> {
    match &answer.cookie {
        None => Ok(()),
        Some(Cookie::Set(..)) => Err("a cookie is set without a reason".to_owned()),
        Some(Cookie::Removed) => Err("a cookie is removed without a reason".to_owned()),
    }
}

fn told(answer: &Answer) -> Result<&Told, Wrong> {
    let said = answer.said.as_ref().ok_or("the handler's answer is missing")?;
    said.told.as_ref().map_err(Clone::clone)
}
