//! Copies of all sessions, and what comes back when one is made again in a store that is in use: whoever restores a backup
//! signs in again everybody who has signed out since.

use cloakroom::store::operate::{Restored, Saved};

use super::{Answer, Sent, World};
use crate::faults::{Plan, wait};
use crate::oracle::{Alive, Oracle, Wrong};
use crate::place::Place;
use crate::story::{Ask, Order};

/// All sessions as they were at some time, and what was known of them then.
pub(super) struct Copy {
    sessions: Vec<Saved>,
    known: Oracle,
}

impl<P: Place> World<P> {
    pub(super) async fn export(&mut self) -> Result<(), Wrong> {
        if let Some(sessions) = P::save_all(self.running().store.inner()).await? {
            self.copy = Some(Copy { sessions, known: self.oracle.clone() });
        }
        Ok(())
    }

    /// Makes the sessions of the copy again while a request is answered.
    pub(super) async fn import(&mut self, ask: &Ask, order: Order) -> Result<(), Wrong> {
        let Some(copy) = self.copy.take() else { return Ok(()) };
        let own = self.jars[ask.browser].own(ask.server).iter().cloned().collect();
        let sent = self.send(ask, own);
        self.settle().await;
        self.running().store.plan(Plan::with_pace(order.pace));
        let (answer, restored) = {
            let restore = async {
                wait((order.pace % 16) as usize).await;
                P::restore(self.running().store.inner(), &copy.sessions).await
            };
            tokio::join!(self.running().servers.ask(ask.server, sent.request()), restore)
        };
        let ended_early = self.running().store.plan(Plan::smooth()).ended_early;
        let answer = Answer::of(answer, ask.server);
        self.keep(ask, Some(&answer));
        let as_before = self.saw(&sent, &answer);
        // it may have ended what comes back then
        let doubted = self.may_have_done(&sent, self.now());
        self.oracle.doubt(&doubted);
        for (saved, restored) in copy.sessions.iter().zip(restored?) {
            let id = saved.id.expose();
            match restored {
                Restored::Made => self.oracle.restored(id, &copy.known, self.now())?,
                // where it is several steps, whoever ends all of its user's meanwhile may end it, too
                Restored::Ended if P::IS_ELSEWHERE && ask.act.ends_all() => {}
                Restored::Ended => copy.known.may_have_ended(id, self.now())?,
                Restored::Taken => {}
            }
        }
        self.beside(&sent, &answer, as_before, &ended_early).await
    }

    /// What may come of a request while sessions came back: it may have met them or not.
    async fn beside(
        &mut self,
        sent: &Sent,
        answer: &Answer,
        as_before: Result<(), Wrong>,
        ended_early: &[String],
    ) -> Result<(), Wrong> {
        let now = self.now();
        let ended: Vec<bool> = (0..self.oracle.ids().len()).map(|nth| self.oracle.alive(nth) == Alive::No).collect();
        let doubted = self.may_have_done(sent, now);
        let known = answer.set().and_then(|token| self.oracle.session_of(token));
        if known.is_some_and(|nth| ended[nth]) {
            return Err(sent.says("it gets a cookie for a session that had ended"));
        }
        self.may_have_got(sent, Some(answer), now).map_err(|wrong| sent.says(wrong))?;
        self.oracle.doubt(&doubted);
        as_before.or_else(|_| self.saw(sent, answer))?;
        self.oracle.ended(&ended_early.iter().filter_map(|id| self.oracle.session_of(id)).collect::<Vec<_>>());
        self.look_around(false).await
    }

    /// Judges what a request saw, where it saw a session.
    fn saw(&mut self, sent: &Sent, answer: &Answer) -> Result<(), Wrong> {
        let Some(seen) = answer.before().filter(|seen| seen.id.is_some()) else { return Ok(()) };
        let now = self.now();
        self.oracle.sees(sent.token.as_deref(), seen, now, false).map(drop).map_err(|wrong| sent.says(wrong))
    }
}
