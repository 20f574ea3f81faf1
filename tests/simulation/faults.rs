//! A store that goes wrong when it is told to, and takes as long for each question as it is told to.

use std::sync::{Arc, Mutex};

use cloakroom::store::{Lookup, NewSession, Outcome, SignedOut, Store, Target};
use cloakroom::{
    Device, Page, UserId,
    store::{Change, Credentials, StoreError, Terms},
};

use crate::story::Trouble;
use crate::support::Numbers;

/// Wraps a store. Clones share what was planned.
#[derive(Clone)]
pub(crate) struct Faulty<S> {
    store: S,
    plan: Arc<Mutex<Plan>>,
}

/// What is to go wrong, and how long questions take.
pub(crate) struct Plan {
    asked: usize,
    troubles: Vec<(usize, Trouble)>,
    pace: Option<Numbers>,
    /// Whether something went wrong.
    pub(crate) struck: bool,
}

impl Plan {
    pub(crate) fn smooth() -> Plan {
        Plan { asked: 0, troubles: Vec::new(), pace: None, struck: false }
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
}

impl<S: Store> Faulty<S> {
    pub(crate) fn new(store: S) -> Faulty<S> {
        Faulty { store, plan: Arc::new(Mutex::new(Plan::smooth())) }
    }

    pub(crate) fn inner(&self) -> &S {
        &self.store
    }

    /// Makes a new plan, and says what became of the one before.
    pub(crate) fn plan(&self, plan: Plan) -> Plan {
        std::mem::replace(&mut self.plan.lock().unwrap(), plan)
    }

    async fn ask<T>(&self, question: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let (trouble, pause) = {
            let mut plan = self.plan.lock().unwrap();
            let nth = plan.asked;
            plan.asked += 1;
            let trouble = plan.trouble(nth);
            plan.struck |= trouble.is_some();
            let pause = plan.pace.as_mut().map_or((1, 0), |pace| (pace.below(4), pace.below(4)));
            (trouble, pause)
        };
        wait(pause.0).await;
        let answer = match trouble {
            Some(Trouble::QuestionLost) => Err(StoreError::unknown("simulated: the question was lost")),
            Some(Trouble::Refused) => Err(StoreError::refused("OOM", "simulated: no memory left")),
            Some(Trouble::AnswerLost) => {
                question.await.and_then(|_| Err(StoreError::unknown("simulated: the answer was lost")))
            }
            Some(Trouble::NotDurable) | None => question.await,
        };
        wait(pause.1).await;
        answer
    }

    fn is_not_durable(&self) -> bool {
        let plan = self.plan.lock().unwrap();
        plan.asked.checked_sub(1).and_then(|nth| plan.trouble(nth)) == Some(Trouble::NotDurable)
    }
}

/// Lets others go first so many times.
pub(crate) async fn wait(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
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

impl<S: Store> Store for Faulty<S> {
    async fn create(&self, new: &NewSession, terms: &Terms) -> Result<Outcome, StoreError> {
        let answer = self.ask(self.store.create(new, terms)).await;
        if self.is_not_durable() { answer.map(undurable) } else { answer }
    }

    async fn load(&self, presented: &Credentials, terms: &Terms) -> Result<Lookup, StoreError> {
        self.ask(self.store.load(presented, terms)).await
    }

    async fn load_fresh(&self, presented: &Credentials, terms: &Terms) -> Result<Lookup, StoreError> {
        self.ask(self.store.load_fresh(presented, terms)).await
    }

    /// So that whoever refreshes asks once more.
    fn may_be_near(&self) -> bool {
        true
    }

    async fn apply(&self, presented: &Credentials, change: &Change, terms: &Terms) -> Result<Outcome, StoreError> {
        let answer = self.ask(self.store.apply(presented, change, terms)).await;
        if self.is_not_durable() { answer.map(undurable) } else { answer }
    }

    async fn sign_out(&self, presented: &Credentials) -> Result<SignedOut, StoreError> {
        let answer = self.ask(self.store.sign_out(presented)).await;
        if self.is_not_durable() { answer.and(Err(not_durable())) } else { answer }
    }

    async fn revoke(&self, target: &Target) -> Result<u64, StoreError> {
        let answer = self.ask(self.store.revoke(target)).await;
        if self.is_not_durable() { answer.and(Err(not_durable())) } else { answer }
    }

    async fn list(&self, user: &UserId, page: Page, terms: &Terms) -> Result<Vec<Device>, StoreError> {
        self.ask(self.store.list(user, page, terms)).await
    }
}
