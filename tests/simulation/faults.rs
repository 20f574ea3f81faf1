//! A store that goes wrong when it is told to, and takes as long for each question as it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use cloakroom::store::{Loaded, Lookup, NewSession, Outcome, SignedOut, Store, Target};
use cloakroom::{
    Device, Page, SessionId, UserId,
    store::{Change, Credentials, StoreError, Terms},
};

use crate::oracle::Wrong;
use crate::place::Place;
use crate::story::{Denial, Trouble};
use crate::support::Numbers;

/// Wraps a store. Clones share what was planned.
pub(crate) struct Faulty<P: Place> {
    store: P::Store,
    is_near: bool,
    plan: Arc<Mutex<Plan>>,
}

/// What is to go wrong, and how long questions take.
pub(crate) struct Plan {
    asked: usize,
    troubles: Vec<(usize, Trouble)>,
    pace: Option<Numbers>,
    /// Whether something went wrong.
    pub(crate) struck: bool,
    /// What must not come of it.
    pub(crate) wrong: Option<Wrong>,
    /// The sessions that were just being restored when all of their user's were ended: they end, too.
    pub(crate) ended_early: Vec<String>,
}

/// What a question may change of the sessions that are stored.
#[derive(Clone, Copy)]
enum Reach {
    Nothing,
    /// This session, if it is answered with success.
    One(SessionId),
    /// It ends several, one after the other.
    Several,
}

impl Plan {
    pub(crate) fn smooth() -> Plan {
        Plan { asked: 0, troubles: Vec::new(), pace: None, struck: false, wrong: None, ended_early: Vec::new() }
    }

    pub(crate) fn with_troubles(troubles: &[(usize, Trouble)]) -> Plan {
        Plan { troubles: troubles.to_vec(), ..Plan::smooth() }
    }

    pub(crate) fn with_pace(pace: u64) -> Plan {
        Plan { pace: Some(Numbers(pace)), ..Plan::smooth() }
    }

    /// What goes wrong with a question, if anything.
    fn trouble(&self, question: usize) -> Option<Trouble> {
        self.troubles.iter().find(|(nth, _)| *nth == question).map(|(_, trouble)| *trouble)
    }

    /// What goes wrong with the question that was asked last.
    fn latest_trouble(&self) -> Option<Trouble> {
        self.trouble(self.asked.checked_sub(1)?)
    }
}

impl<P: Place> Clone for Faulty<P> {
    fn clone(&self) -> Self {
        Faulty { store: self.store.clone(), is_near: self.is_near, plan: self.plan.clone() }
    }
}

impl<P: Place> Faulty<P> {
    pub(crate) fn new(store: P::Store) -> Faulty<P> {
        Faulty { store, is_near: false, plan: Arc::new(Mutex::new(Plan::smooth())) }
    }

    /// The same with a near cache, by the same plan.
    pub(crate) fn nearer(&self, store: P::Store) -> Faulty<P> {
        Faulty { store, is_near: true, plan: self.plan.clone() }
    }

    pub(crate) fn inner(&self) -> &P::Store {
        &self.store
    }

    /// Makes a new plan, and says what became of the one before.
    pub(crate) fn plan(&self, plan: Plan) -> Plan {
        std::mem::replace(&mut self.plan.lock().unwrap(), plan)
    }

    async fn ask<T>(
        &self,
        reach: Reach,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let (trouble, pause) = {
            let mut plan = self.plan.lock().unwrap();
            let nth = plan.asked;
            plan.asked += 1;
            let trouble = plan.trouble(nth);
            // what a server that refuses does not need is done all the same
            plan.struck |= trouble.is_some_and(|trouble| !matches!(trouble, Trouble::Denied(_)));
            let pause = plan.pace.as_mut().map_or((1, 0), |pace| (pace.below(4), pace.below(4)));
            (trouble, pause)
        };
        wait(pause.0).await;
        let answer = match trouble {
            Some(Trouble::QuestionLost) => Err(StoreError::unknown("simulated: the question was lost")),
            Some(Trouble::Refused) => Err(refused()),
            Some(Trouble::AnswerLost) => {
                question.await.and_then(|_| Err(StoreError::unknown("simulated: the answer was lost")))
            }
            Some(Trouble::Denied(denial)) => self.ask_denied(denial, reach, question).await,
            Some(Trouble::NotDurable) | None => question.await,
        };
        if answer.is_err() && self.has_denial() {
            self.strike();
        }
        wait(pause.1).await;
        answer
    }

    /// Asks while the server refuses. What is answered with an error then must not be half done.
    async fn ask_denied<T>(
        &self,
        denial: Denial,
        reach: Reach,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let before = P::stored();
        if !P::deny(Some(denial)) {
            return Err(refused());
        }
        let answer = question.await;
        P::deny(None);
        if let Err(error) = &answer
            && !error.is_unknown()
            && is_half_done(&before, &P::stored(), reach)
        {
            let wrong = format!("what was refused is half done: {error}");
            self.plan.lock().unwrap().wrong.get_or_insert(wrong);
        }
        answer
    }

    async fn end(&self, target: &Target) -> Result<u64, StoreError> {
        let mut restoring = match target {
            Target::AllOf(user) | Target::OthersOf(user, _) => P::being_restored(user),
            Target::Session(_) | Target::SessionOf(..) => Vec::new(),
        };
        if let Target::OthersOf(_, kept) = target {
            restoring.retain(|id| id != kept.expose());
        }
        let answer = self.store.revoke(target).await;
        if answer.is_ok() {
            self.plan.lock().unwrap().ended_early.extend(restoring);
        }
        answer
    }

    fn has_denial(&self) -> bool {
        self.plan.lock().unwrap().troubles.iter().any(|(_, trouble)| matches!(trouble, Trouble::Denied(_)))
    }

    fn strike(&self) {
        self.plan.lock().unwrap().struck = true;
    }

    fn is_not_durable(&self) -> bool {
        self.plan.lock().unwrap().latest_trouble() == Some(Trouble::NotDurable)
    }
}

/// Whether more has become of the sessions that are stored than may where a question was refused.
fn is_half_done(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>, reach: Reach) -> bool {
    match reach {
        Reach::Nothing => false,
        Reach::One(id) => before.get(id.expose()) != after.get(id.expose()),
        Reach::Several => after.iter().any(|(id, now)| before.get(id) != Some(now)),
    }
}

/// Lets others go first so many times.
pub(crate) async fn wait(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

fn refused() -> StoreError {
    StoreError::refused("OOM", "simulated: no memory left")
}

fn not_durable() -> StoreError {
    StoreError::not_durable("simulated: no disk has it")
}

fn undurable(applied: Outcome) -> Outcome {
    match applied {
        Outcome::Done { loaded, evicted, .. } => Outcome::Done { loaded, evicted, not_durable: Some(not_durable()) },
        refused => refused,
    }
}

impl<P: Place> Faulty<P> {
    /// Asks for a change, which may go wrong.
    async fn changed(
        &self,
        presented: &Credentials,
        change: &Change,
        answer: impl Future<Output = Result<Outcome, StoreError>>,
    ) -> Result<Outcome, StoreError> {
        let is_sign_in = change.sign_in().is_some();
        let reach = if is_sign_in { Reach::Several } else { Reach::One(presented.id) };
        let answer = self.ask(reach, answer).await;
        if is_sign_in && matches!(answer, Ok(Outcome::Refused(_))) && self.has_denial() {
            // what it has written before it was refused may not have been taken back
            self.strike();
        }
        if self.is_not_durable() { answer.map(undurable) } else { answer }
    }
}

impl<P: Place> Store for Faulty<P> {
    async fn create(&self, new: &NewSession, terms: &Terms) -> Result<Outcome, StoreError> {
        let answer = self.ask(Reach::One(new.presented.id), self.store.create(new, terms)).await;
        if self.is_not_durable() { answer.map(undurable) } else { answer }
    }

    async fn load(&self, presented: &Credentials, terms: &Terms) -> Result<Lookup, StoreError> {
        self.ask(Reach::Nothing, self.store.load(presented, terms)).await
    }

    async fn load_fresh(&self, presented: &Credentials, terms: &Terms) -> Result<Lookup, StoreError> {
        self.ask(Reach::Nothing, self.store.load_fresh(presented, terms)).await
    }

    /// No question, so nothing goes wrong with it.
    fn load_at_hand(&self, presented: &Credentials, terms: &Terms) -> Option<Lookup> {
        self.store.load_at_hand(presented, terms).filter(|_| self.is_near)
    }

    /// So that whoever refreshes asks once more.
    fn may_be_near(&self) -> bool {
        true
    }

    async fn load_by_id(&self, id: &SessionId, terms: &Terms) -> Result<Option<Loaded>, StoreError> {
        self.ask(Reach::Nothing, self.store.load_by_id(id, terms)).await
    }

    async fn apply(&self, presented: &Credentials, change: &Change, terms: &Terms) -> Result<Outcome, StoreError> {
        self.changed(presented, change, self.store.apply(presented, change, terms)).await
    }

    async fn apply_to(
        &self,
        loaded: &Loaded,
        presented: &Credentials,
        change: &Change,
        terms: &Terms,
    ) -> Result<Outcome, StoreError> {
        self.changed(presented, change, self.store.apply_to(loaded, presented, change, terms)).await
    }

    async fn sign_out(&self, presented: &Credentials) -> Result<SignedOut, StoreError> {
        let answer = self.ask(Reach::One(presented.id), self.store.sign_out(presented)).await;
        if self.is_not_durable() { answer.and(Err(not_durable())) } else { answer }
    }

    async fn revoke(&self, target: &Target) -> Result<u64, StoreError> {
        let reach = match target {
            Target::Session(id) | Target::SessionOf(_, id) => Reach::One(*id),
            Target::OthersOf(..) | Target::AllOf(_) => Reach::Several,
        };
        let answer = self.ask(reach, self.end(target)).await;
        if self.is_not_durable() { answer.and(Err(not_durable())) } else { answer }
    }

    async fn list(&self, user: &UserId, page: Page, terms: &Terms) -> Result<Vec<Device>, StoreError> {
        self.ask(Reach::Nothing, self.store.list(user, page, terms)).await
    }
}
