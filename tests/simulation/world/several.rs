//! Requests that bring several tokens, because cookies of our name stand at several paths: which of them counts.

use super::{Answer, Cookie, Sent, World};
use crate::oracle::{Alive, Worth, Wrong};
use crate::place::Place;
use crate::server::RULES;
use crate::story::Act;

/// What a request's tokens come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Brought {
    /// It is as if it had brought this one alone, or none.
    One(Option<String>),
    /// Each opens a session, so none of them is taken.
    Rivals(Vec<usize>),
    /// Nobody knows what some of them open.
    Unclear,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opens {
    Yes,
    Maybe,
    No,
}

impl<P: Place> World<P> {
    pub(super) fn brought(&self, tokens: &[String], server: usize) -> Brought {
        let mut looked_at: Vec<&String> = Vec::new();
        for token in tokens {
            if !looked_at.contains(&token) && looked_at.len() < 4 {
                looked_at.push(token);
            }
        }
        if looked_at.len() < 2 {
            return Brought::One(looked_at.first().map(|token| (*token).clone()));
        }
        let opens: Vec<Opens> = looked_at.iter().map(|token| self.opens(token, server)).collect();
        let open =
            |what: Opens| looked_at.iter().zip(&opens).filter(move |(_, is)| **is == what).map(|(token, _)| *token);
        let session = |token: &String| self.oracle.session_of(token);
        let mut sessions: Vec<usize> = open(Opens::Yes).filter_map(session).collect();
        let tokens_that_open = sessions.len();
        sessions.dedup();
        let now = self.now();
        let is_current =
            |token: &&String| session(token).is_some_and(|nth| self.oracle.worth(nth, token) == Worth::Current);
        let is_over = |token: &&String| session(token).is_none_or(|nth| !self.oracle.may_live(nth, now));
        match (open(Opens::Maybe).next(), sessions.len()) {
            (Some(_), _) => Brought::Unclear,
            (None, 0) if looked_at.iter().copied().all(|token| is_over(&token)) => {
                Brought::One(Some(looked_at[0].clone()))
            }
            // an old secret of a session that lives: what a sign-out or a second click makes of it is not known
            (None, 0) => Brought::Unclear,
            (None, 1) if tokens_that_open == 1 => Brought::One(open(Opens::Yes).next().cloned()),
            // both secrets of one session: the current one counts
            (None, 1) => match open(Opens::Yes).find(is_current) {
                Some(token) => Brought::One(Some(token.clone())),
                None => Brought::Unclear,
            },
            (None, all) if all == tokens_that_open => Brought::Rivals(sessions),
            _ => Brought::Unclear,
        }
    }

    fn opens(&self, token: &str, server: usize) -> Opens {
        let (now, revokes) = (self.now(), RULES[server].revokes);
        let Some(nth) = self.oracle.session_of(token) else { return Opens::No };
        if !self.oracle.may_live(nth, now) {
            return Opens::No;
        }
        let lives = self.oracle.lives(nth, now);
        match self.oracle.worth(nth, token) {
            Worth::Current if lives => Opens::Yes,
            Worth::Held(must, _) if lives && must.is_none_or(|must| now < must) => Opens::Yes,
            Worth::Nothing => Opens::No,
            // where an old secret ends its session, it matters that it was brought
            Worth::Over(_) if !revokes => Opens::No,
            Worth::Held(_, Some(may)) if now >= may && !revokes => Opens::No,
            _ => Opens::Maybe,
        }
    }

    /// What must come of a request that brought several tokens that each open a session.
    pub(super) async fn clear_of_rivals(
        &mut self,
        sent: &Sent,
        answer: &Answer,
        rivals: &[usize],
    ) -> Result<(), Wrong> {
        if matches!(sent.ask.act, Act::SignIn(..) | Act::SignOut | Act::Leave) {
            self.oracle.ended(rivals);
        }
        if sent.ask.act == Act::SignOut {
            if answer.status != 200 || answer.cookie != Some(Cookie::Removed) {
                return Err(sent.says(format!("it has several sessions, and is not signed out: {}", answer.status)));
            }
            return self.look_around(false).await;
        }
        self.clear(sent, answer).await
    }

    /// What may come of a request with several tokens of which it is not clear which one counts.
    pub(super) async fn unclear_of_several(
        &mut self,
        sent: &Sent,
        tokens: &[String],
        answer: Option<&Answer>,
    ) -> Result<(), Wrong> {
        let now = self.now();
        if let Some(seen) = answer.and_then(Answer::before).filter(|seen| seen.id.is_some()) {
            let is_its = |token: &&String| {
                let session = self.oracle.session_of(token);
                session.and_then(|nth| self.oracle.id(nth)) == seen.id
            };
            let tokens: Vec<&String> = tokens.iter().filter(is_its).collect();
            let verdicts = tokens.iter().map(|token| self.oracle.sees(Some(token.as_str()), seen, now, false));
            let verdicts: Vec<_> = verdicts.collect();
            if !verdicts.iter().any(Result::is_ok) {
                let why = verdicts.into_iter().find_map(Result::err);
                return Err(sent.says(why.unwrap_or_else(|| "it sees a session of which it has no token".to_owned())));
            }
        }
        let ended: Vec<bool> = (0..self.oracle.ids().len()).map(|nth| self.oracle.alive(nth) == Alive::No).collect();
        let known = answer.and_then(Answer::set).and_then(|token| self.oracle.session_of(token));
        if known.is_some_and(|nth| ended[nth]) {
            return Err(sent.says("it gets a cookie for a session that had ended"));
        }
        let mut doubted = Vec::new();
        for token in tokens {
            let sent = Sent { token: Some(token.clone()), ..sent.clone() };
            doubted.extend(self.may_have_done(&sent, now));
            if matches!(sent.ask.act, Act::SignIn(..) | Act::SignOut | Act::SignOutDevice(_) | Act::Leave) {
                doubted.extend(self.oracle.session_of(token));
            }
        }
        self.may_have_got(sent, answer, now).map_err(|wrong| sent.says(wrong))?;
        self.oracle.doubt(&doubted);
        self.look_around(false).await
    }
}
