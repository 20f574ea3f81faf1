//! What may come of a request that went wrong somewhere, or of two at the same time; and what may not.

use super::{Answer, Sent, World};
use crate::contents::Contents;
use crate::oracle::{Alive, Worth, Wrong};
use crate::place::Place;
use crate::server::{RULES, Told};
use crate::story::{Act, Fate, Grant, Trouble};

impl<P: Place> World<P> {
    pub(super) async fn unclear(&mut self, sent: &Sent, answer: Option<&Answer>) -> Result<(), Wrong> {
        let now = self.now();
        // what it saw first was so, whatever happened then
        if let Some(seen) = answer.and_then(Answer::before) {
            self.oracle.sees(sent.token.as_deref(), seen, now, true).map_err(|wrong| sent.says(wrong))?;
        }
        let session = sent.token.as_deref().and_then(|token| self.oracle.session_of(token));
        let opened = answer.and_then(Answer::before).is_some_and(|seen| seen.id.is_some());
        let doubted = self.may_have_done(sent, now);
        self.may_have_got(sent, answer, now).map_err(|wrong| sent.says(wrong))?;
        self.oracle.doubt(&doubted);
        let all_done =
            |troubles: &[(usize, Trouble)]| troubles.iter().all(|(_, trouble)| *trouble == Trouble::NotDurable);
        if matches!(&sent.ask.fate, Fate::Trouble(troubles) if all_done(troubles)) && session.is_some() && opened {
            self.still_opens(sent).await?;
        }
        self.look_around(false).await
    }

    /// A change that was made, but is not durable, must not cost the visitor the session.
    async fn still_opens(&mut self, sent: &Sent) -> Result<(), Wrong> {
        if matches!(sent.ask.act, Act::SignOut | Act::Leave | Act::SignOutEverywhere | Act::SignOutDevice(_)) {
            return Ok(());
        }
        let tokens = self.jars[sent.ask.browser].tokens(sent.ask.server);
        for token in &tokens {
            if self.try_token(token).await? {
                return Ok(());
            }
        }
        match tokens.is_empty() {
            true => Ok(()),
            false => Err(sent.says("what it asked for was done but is not durable, and its cookie opens nothing now")),
        }
    }

    pub(super) async fn unclear_both(&mut self, sent: &[Sent; 2], answers: &[Answer; 2]) -> Result<(), Wrong> {
        let now = self.now();
        let ended_before: Vec<bool> =
            (0..self.oracle.ids().len()).map(|nth| self.oracle.alive(nth) == Alive::No).collect();
        let ends = self.sure_ends(sent, answers, now);
        let was_alive = [0, 1].map(|nth| {
            let session = sent[nth].token.as_deref().and_then(|token| self.oracle.session_of(token));
            session.filter(|session| self.oracle.lives(*session, now))
        });
        let users = was_alive.map(|session| session.and_then(|session| self.oracle.user(session)));
        let is_double_click = self.is_double_click(sent, was_alive, users);
        let contents = was_alive.map(|session| session.and_then(|session| self.oracle.contents(session).cloned()));
        let mut doubted = Vec::new();
        for sent in sent {
            doubted.extend(self.may_have_done(sent, now));
        }
        // whoever is ended with all of a user's sessions may just be becoming that user
        for sent in sent.iter().filter(|sent| ends_with_all(sent.ask.act)) {
            doubted.extend(self.may_have_done(sent, now));
        }
        self.may_have_changed_in_turn(sent, now);
        for (sent, answer) in sent.iter().zip(answers) {
            let known = answer.set().and_then(|token| self.oracle.session_of(token));
            if known.is_some_and(|nth| ended_before.get(nth) == Some(&true)) {
                return Err(sent.says("it gets a cookie for a session that had ended"));
            }
            self.may_have_got(sent, Some(answer), now).map_err(|wrong| sent.says(wrong))?;
        }
        self.oracle.doubt(&doubted);
        for (sent, answer) in sent.iter().zip(answers) {
            if let Some(seen) = answer.before() {
                self.oracle.sees(sent.token.as_deref(), seen, now, false).map_err(|wrong| sent.says(wrong))?;
            }
        }
        self.oracle.ended(&ends);
        if was_alive[0] == was_alive[1] {
            self.given_a_deadline(sent, answers, was_alive[0], now);
            self.acknowledged_both(sent, answers, was_alive[0], contents[0].as_ref());
        }
        for (one, other) in [(0, 1), (1, 0)] {
            self.no_way_back(&sent[one], &answers[one], &sent[other], was_alive[one])?;
            self.stale_ends_nothing(&sent[one], &answers[one], &sent[other], was_alive[one], users[one]).await?;
        }
        if is_double_click && answers.iter().all(|answer| answer.status == 200) {
            let sessions =
                answers.each_ref().map(|answer| answer.set().and_then(|token| self.oracle.session_of(token)));
            if sessions != was_alive {
                return Err(sent[1].says("a second click on sign-in is not the same sign-in"));
            }
        }
        self.look_around(false).await
    }

    /// Whether a visitor whose session lives clicks twice on sign-in.
    fn is_double_click(&self, sent: &[Sent; 2], lived: [Option<usize>; 2], users: [Option<usize>; 2]) -> bool {
        let (Act::SignIn(user, _), Act::SignIn(other, _)) = (sent[0].ask.act, sent[1].ask.act) else { return false };
        let is_current = |session| {
            let token = sent[0].token.as_deref().unwrap_or_default();
            self.oracle.worth(session, token) == Worth::Current
        };
        let may_be = |session| self.oracle.users(session).iter().all(|is| is.is_none_or(|is| is == user));
        user == other
            && sent[0].token == sent[1].token
            && lived[0].is_some_and(|session| is_current(session) && may_be(session))
            && users[0].is_none_or(|is| is == user)
    }

    /// Of two changes of one session either may come first.
    fn may_have_changed_in_turn(&mut self, sent: &[Sent; 2], now: u64) {
        let of = |sent: &Sent| sent.token.as_deref().and_then(|token| self.oracle.session_of(token));
        let sessions = [of(&sent[0]), of(&sent[1])];
        let Some(session) = sessions[0].filter(|_| sessions[0] == sessions[1]) else { return };
        // each was asked of once; what is counted twice would be one too many
        for sent in [&sent[0], &sent[1], &sent[0]].into_iter().filter(|sent| sent.ask.act != Act::Count) {
            self.oracle.maybe_changed(session, sent.ask.act, sent.wanted.number, sent.ask.server, now);
        }
        if sent.iter().any(|sent| sent.ask.act == Act::Clear)
            && let Some(count) = sent.iter().find(|sent| sent.ask.act == Act::Count)
        {
            self.oracle.maybe_changed(session, Act::Count, count.wanted.number, count.ask.server, now);
        }
    }

    /// A deadline that was acknowledged holds, whatever came beside it; but for another deadline.
    fn given_a_deadline(&mut self, sent: &[Sent; 2], answers: &[Answer; 2], session: Option<usize>, now: u64) {
        let Some(session) = session else { return };
        for (one, other) in [(0, 1), (1, 0)] {
            let gives_another = matches!(sent[other].ask.act, Act::SetDeadline(_) | Act::SignIn(_, Grant::Until));
            if let Act::SetDeadline(seconds) = sent[one].ask.act
                && !gives_another
                && self.is_of_it(&answers[one], session)
            {
                self.oracle.ends_by(session, seconds, now);
            }
        }
    }

    /// Whether a request was about this session from its beginning to its end, and succeeded.
    fn is_of_it(&self, answer: &Answer, session: usize) -> bool {
        let id = answer.before().and_then(|seen| seen.id.clone());
        let has_another = answer.set().is_some_and(|token| self.oracle.session_of(token) != Some(session));
        answer.status == 200 && id.is_some() && id == self.oracle.id(session) && !has_another
    }

    /// What was acknowledged to two requests of one session is there, where neither takes out what the other brought.
    fn acknowledged_both(
        &mut self,
        sent: &[Sent; 2],
        answers: &[Answer; 2],
        session: Option<usize>,
        before: Option<&Contents>,
    ) {
        let (Some(session), Some(before)) = (session, before) else { return };
        let takes_out = |sent: &Sent| matches!(sent.ask.act, Act::Take | Act::Clear | Act::SignIn(..) | Act::Leave);
        if sent.iter().any(takes_out) {
            return;
        }
        let fills_cart = |act: Act| matches!(act, Act::Put | Act::Form);
        let both_fill = sent.iter().all(|sent| fills_cart(sent.ask.act));
        let mut counted = before.count.unwrap_or_default();
        for (sent, answer) in sent.iter().zip(answers) {
            if !self.is_of_it(answer, session) {
                continue;
            }
            let number = sent.wanted.number;
            match sent.ask.act {
                Act::Push | Act::Append => self
                    .oracle
                    .only(session, |contents| contents.notes.as_ref().is_some_and(|notes| notes.contains(&number))),
                Act::Count => counted += 1,
                act if fills_cart(act) && !both_fill => {
                    self.oracle.only(session, |contents| contents.cart == Some(number));
                }
                _ => {}
            }
        }
        self.oracle.only(session, |contents| contents.count.unwrap_or_default() >= counted);
    }

    /// The sessions that have certainly ended: whoever was told that a user's sessions have ended was told of all that there
    /// were before.
    fn sure_ends(&self, sent: &[Sent; 2], answers: &[Answer; 2], now: u64) -> Vec<usize> {
        let mut ends = Vec::new();
        for (sent, answer) in sent.iter().zip(answers).filter(|(_, answer)| answer.status == 200) {
            let user = answer.before().and_then(|seen| seen.user.as_deref());
            let user = user.and_then(|user| crate::story::USERS.iter().position(|name| *name == user));
            let own = sent.token.as_deref().and_then(|token| self.oracle.session_of(token));
            let (user, but) = match sent.ask.act {
                Act::RevokeUser(user) => (Some(user), None),
                Act::SignOutEverywhere => (user, None),
                Act::SignOutOthers => (user, own),
                _ => (None, None),
            };
            let told = answer.said.as_ref().and_then(|said| said.told.as_ref().ok());
            if let (Act::RevokeSession(nth) | Act::SignOutDevice(nth), Some(Told::Whether(true))) = (sent.ask.act, told)
            {
                ends.push(nth);
            }
            if let Some(user) = user {
                ends.extend(self.oracle.of_user(user, but, now).0);
            }
        }
        ends
    }

    /// What was ended on its way is ended: a sign-in does not come back with another session instead.
    fn no_way_back(&self, sent: &Sent, answer: &Answer, other: &Sent, session: Option<usize>) -> Result<(), Wrong> {
        let ends_others = matches!(
            other.ask.act,
            Act::RevokeUser(_)
                | Act::RevokeSession(_)
                | Act::SignOutEverywhere
                | Act::SignOutOthers
                | Act::SignOutDevice(_)
        );
        let is_sign_in = matches!(sent.ask.act, Act::SignIn(..)) && answer.status == 200;
        let saw = answer.before().is_some_and(|seen| seen.id.is_some());
        let own = other.token.as_deref().and_then(|token| self.oracle.session_of(token));
        let (Some(session), true) = (session, ends_others && is_sign_in && saw && own != session) else {
            return Ok(());
        };
        let is_switch = answer.before().is_some_and(|seen| {
            let Act::SignIn(user, _) = sent.ask.act else { return false };
            seen.user.as_deref().is_some_and(|was| was != crate::story::USERS[user])
        });
        match answer.set().and_then(|token| self.oracle.session_of(token)) {
            Some(now) if now != session && !is_switch => {
                Err(sent
                    .says("its sign-in was ended on the way, and it is signed in all the same, with another session"))
            }
            _ => Ok(()),
        }
    }

    /// Who proved more trust has a new secret; a request with the one from before cannot end that session afterwards.
    async fn stale_ends_nothing(
        &mut self,
        sent: &Sent,
        answer: &Answer,
        other: &Sent,
        session: Option<usize>,
        user: Option<usize>,
    ) -> Result<(), Wrong> {
        let is_new = match sent.ask.act {
            Act::Elevate => true,
            Act::SignIn(to, _) => user.is_none_or(|user| user == to),
            _ => false,
        };
        let is_own = matches!(other.ask.act, Act::SignIn(..) | Act::SignOut | Act::Leave)
            && other.ask.browser == sent.ask.browser;
        let same = answer.set().filter(|token| session.is_some() && self.oracle.session_of(token) == session);
        let Some(token) = same.filter(|_| is_new && is_own && answer.status == 200).map(str::to_owned) else {
            return Ok(());
        };
        // the other one may have come later and have signed the same user in, which is a new secret again
        let is_evicted = matches!((sent.ask.act, other.ask.act), (Act::SignIn(one, _), Act::SignIn(two, _)) if one == two)
            || user.is_some_and(|user| matches!(other.ask.act, Act::SignIn(two, _) if two == user))
            || matches!((sent.ask.act, other.ask.act), (Act::Elevate, Act::SignIn(..)) if user.is_none());
        if is_evicted || self.try_token(&token).await? {
            return Ok(());
        }
        Err(sent.says("its session was ended by a request that had only the secret from before"))
    }

    /// Everything that a request may have done is possible from now on. Which sessions may have ended by it.
    pub(super) fn may_have_done(&mut self, sent: &Sent, now: u64) -> Vec<usize> {
        let server = sent.ask.server;
        let session = sent.token.as_deref().and_then(|token| self.oracle.session_of(token));
        let session = session.filter(|nth| self.oracle.may_live(*nth, now));
        let mut doubted = Vec::new();
        if !RULES[server].allows(sent.ask.act) {
            if let Some(nth) = session {
                self.oracle.may_be_used(nth, server, now);
            }
            return doubted;
        }
        if let Act::RevokeUser(user) = sent.ask.act {
            return self.oracle.of_user(user, None, now).1;
        }
        if let Act::RevokeSession(nth) = sent.ask.act {
            return self.oracle.id(nth).map(|_| nth).into_iter().collect();
        }
        if let Act::SignIn(user, _) = sent.ask.act
            && !RULES[server].refuses
        {
            let may = self.oracle.of_user(user, None, now).1;
            // another sign-in may be on its way, too
            if may.len() + 1 + self.oracle.on_their_way(user, now) >= RULES[server].limit {
                doubted.extend(may);
            }
        }
        let Some(nth) = session else {
            if let Act::SignIn(user, _) = sent.ask.act {
                self.sign_in_cut_off(None, user, now);
            }
            return doubted;
        };
        // where an old secret ends its session
        if RULES[server].revokes
            && sent.token.as_deref().is_some_and(|token| self.oracle.worth(nth, token) != Worth::Current)
        {
            doubted.push(nth);
        }
        self.oracle.may_be_used(nth, server, now);
        let users: Vec<usize> = self.oracle.users(nth).iter().flatten().copied().collect();
        match sent.ask.act {
            Act::SignIn(user, grant) => {
                self.oracle.maybe_bound(nth, user, grant, server, now);
                self.sign_in_cut_off(Some(nth), user, now);
            }
            Act::Rotate | Act::Elevate => self.oracle.maybe_rotated(nth, None, now),
            Act::SignOut | Act::Leave => doubted.push(nth),
            Act::SignOutDevice(device) => doubted.extend(self.oracle.id(device).map(|_| device)),
            Act::SignOutOthers | Act::SignOutEverywhere => {
                for user in users {
                    doubted.extend(self.oracle.of_user(user, None, now).1);
                }
            }
            act => self.oracle.maybe_changed(nth, act, sent.wanted.number, sent.ask.server, now),
        }
        doubted
    }

    /// In Redis a sign-in takes several steps, and may have been cut off between them.
    fn sign_in_cut_off(&mut self, nth: Option<usize>, user: usize, now: u64) {
        if P::IS_ELSEWHERE {
            self.oracle.sign_in_cut_off(nth, user, now);
        }
    }

    /// A cookie that came with an answer of which the rest is unclear.
    pub(super) fn may_have_got(&mut self, sent: &Sent, answer: Option<&Answer>, now: u64) -> Result<(), Wrong> {
        let Some(token) = answer.and_then(Answer::set) else { return Ok(()) };
        if let Some(nth) = self.oracle.session_of(token) {
            if self.oracle.alive(nth) == Alive::No {
                return Err("it gets a cookie for a session that had ended".to_owned());
            }
            self.oracle.maybe_rotated(nth, Some(token), now);
            return Ok(());
        }
        let nth = self.oracle.begun(token, sent.ask.server, now)?;
        self.oracle.maybe_rotated(nth, None, now);
        self.oracle.doubt(&[nth]);
        match sent.ask.act {
            Act::SignIn(user, grant) => {
                self.oracle.maybe_bound(nth, user, grant, sent.ask.server, now);
                self.sign_in_cut_off(Some(nth), user, now);
                if let Some(from) = sent.token.as_deref().and_then(|token| self.oracle.session_of(token)) {
                    self.oracle.may_be_granted_as(nth, from);
                }
            }
            act => self.oracle.maybe_changed(nth, act, sent.wanted.number, sent.ask.server, now),
        }
        Ok(())
    }
}

fn ends_with_all(act: Act) -> bool {
    matches!(act, Act::RevokeUser(_) | Act::SignOutOthers | Act::SignOutEverywhere)
}
