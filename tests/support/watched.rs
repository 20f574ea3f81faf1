//! A store that a test watches: it notes what is asked, and fails or hangs when it is told to.

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::future::pending;
use std::sync::{Arc, Mutex};

use cloakroom::store::{Loaded, Lookup, Memory, NewSession, Outcome, Redis, SignedOut, Store, Target};
use cloakroom::{
    Device, Page, SessionId, UserId,
    store::{Change, Credentials, StoreError, Terms},
};

/// How a verb fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An error at once; nothing is done.
    Away,
    /// The verb is done, but the answer is an error that does not say so.
    AnswerLost,
    /// Nothing is done, and no answer ever comes.
    Hangs,
    /// The verb is done, and no answer ever comes.
    DoneButHangs,
    /// The verb is done, but the disk or the replicas do not have it.
    NotDurable,
    /// An error that says how many sessions had ended before.
    HalfWay,
}

/// An answer, and how it says what was done although there is an error: that it is not durable, or how many have ended.
trait Answered: Debug + Sized {
    fn not_durable(self, _error: StoreError) -> Result<Self, StoreError> {
        Ok(self)
    }
}

impl Answered for Lookup {}
impl Answered for Option<Loaded> {}
impl Answered for Vec<Device> {}

impl Answered for Outcome {
    fn not_durable(mut self, error: StoreError) -> Result<Outcome, StoreError> {
        if let Outcome::Done { not_durable, .. } = &mut self {
            *not_durable = Some(error);
        }
        Ok(self)
    }
}

impl Answered for SignedOut {
    fn not_durable(self, error: StoreError) -> Result<SignedOut, StoreError> {
        Err(error.after_ending((self == SignedOut::Ended).into()))
    }
}

impl Answered for u64 {
    fn not_durable(self, error: StoreError) -> Result<u64, StoreError> {
        Err(error.after_ending(self))
    }
}

pub const VERBS: [&str; 5] = ["create", "load", "apply", "revoke", "list"];

#[derive(Clone)]
pub struct Watched {
    inner: Inner,
    watch: Arc<Mutex<Watch>>,
}

#[derive(Clone)]
enum Inner {
    Memory(Memory),
    Redis(Redis),
}

#[derive(Default)]
struct Watch {
    asked: Vec<&'static str>,
    /// What was asked and what was answered, as `Debug` shows it.
    shown: String,
    /// How a verb fails each time: the last fault stays.
    faults: HashMap<&'static str, Vec<Fault>>,
    may_be_near: bool,
}

/// The store inside.
impl Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner {
            Inner::Memory(memory) => memory.fmt(f),
            Inner::Redis(redis) => redis.fmt(f),
        }
    }
}

impl From<Memory> for Watched {
    fn from(memory: Memory) -> Self {
        Watched { inner: Inner::Memory(memory), watch: Arc::default() }
    }
}

impl From<Redis> for Watched {
    fn from(redis: Redis) -> Self {
        Watched { inner: Inner::Redis(redis), watch: Arc::default() }
    }
}

impl Watched {
    /// The verbs that were asked since the last call, in order.
    pub fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.watch.lock().unwrap().asked)
    }

    /// Everything that was asked and answered so far, as `Debug` shows it.
    pub fn shown(&self) -> String {
        self.watch.lock().unwrap().shown.clone()
    }

    /// From now on, this verb fails in this way.
    pub fn fault(&self, verb: &'static str, fault: Fault) {
        self.faults_in_turn(verb, &[fault]);
    }

    /// From now on, this verb fails in one way after the other, and then always in the last one.
    pub fn faults_in_turn(&self, verb: &'static str, faults: &[Fault]) {
        assert!(VERBS.contains(&verb), "{verb} is no verb of a store");
        self.watch.lock().unwrap().faults.insert(verb, faults.to_vec());
    }

    /// From now on, every verb fails in this way.
    pub fn fault_everywhere(&self, fault: Fault) {
        VERBS.into_iter().for_each(|verb| self.fault(verb, fault));
    }

    /// From now on, everything works again.
    pub fn heal(&self) {
        self.watch.lock().unwrap().faults.clear();
    }

    /// From now on, what it loads counts as what was true a moment ago.
    pub fn be_near(&self) {
        self.watch.lock().unwrap().may_be_near = true;
    }

    /// Waits until a verb has been asked, without forgetting it.
    pub async fn until_asked(&self, verb: &'static str) {
        while !self.watch.lock().unwrap().asked.contains(&verb) {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    async fn watch<T: Answered>(
        &self,
        verb: &'static str,
        question: &(dyn Debug + Sync),
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let fault = {
            let mut watch = self.watch.lock().unwrap();
            watch.asked.push(verb);
            watch.shown.push_str(&format!("{verb}: {question:?} {question:#?}\n"));
            watch.faults.get_mut(verb).and_then(|faults| match faults.len() {
                0 | 1 => faults.first().copied(),
                _ => Some(faults.remove(0)),
            })
        };
        let answer = self.answer(fault, answer).await;
        self.watch.lock().unwrap().shown.push_str(&format!("{answer:?} {answer:#?}\n"));
        answer
    }

    async fn answer<T: Answered>(
        &self,
        fault: Option<Fault>,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match fault {
            None => answer.await,
            Some(Fault::Away) => Err(StoreError::new("the test's store is away")),
            Some(Fault::Hangs) => pending().await,
            Some(Fault::HalfWay) => answer.await?.not_durable(StoreError::new("the test's store went away half-way")),
            Some(Fault::NotDurable) => answer.await?.not_durable(StoreError::not_durable("the test's disk is full")),
            Some(Fault::AnswerLost) => {
                answer.await?;
                Err(StoreError::unknown("the test's store lost the answer"))
            }
            Some(Fault::DoneButHangs) => {
                answer.await?;
                pending().await
            }
        }
    }
}

impl Store for Watched {
    async fn create(&self, new: &NewSession, terms: &Terms) -> Result<Outcome, StoreError> {
        let answer = async {
            match &self.inner {
                Inner::Memory(memory) => memory.create(new, terms).await,
                Inner::Redis(redis) => redis.create(new, terms).await,
            }
        };
        self.watch("create", &(new, terms), answer).await
    }

    async fn load(&self, presented: &Credentials, terms: &Terms) -> Result<Lookup, StoreError> {
        let answer = async {
            match &self.inner {
                Inner::Memory(memory) => memory.load(presented, terms).await,
                Inner::Redis(redis) => redis.load(presented, terms).await,
            }
        };
        self.watch("load", &(presented, terms), answer).await
    }

    fn may_be_near(&self) -> bool {
        self.watch.lock().unwrap().may_be_near
    }

    async fn load_by_id(&self, id: &SessionId, terms: &Terms) -> Result<Option<Loaded>, StoreError> {
        let answer = async {
            match &self.inner {
                Inner::Memory(memory) => memory.load_by_id(id, terms).await,
                Inner::Redis(redis) => redis.load_by_id(id, terms).await,
            }
        };
        self.watch("load", &(id, terms), answer).await
    }

    async fn apply(&self, presented: &Credentials, change: &Change, terms: &Terms) -> Result<Outcome, StoreError> {
        let answer = async {
            match &self.inner {
                Inner::Memory(memory) => memory.apply(presented, change, terms).await,
                Inner::Redis(redis) => redis.apply(presented, change, terms).await,
            }
        };
        self.watch("apply", &(presented, change, terms), answer).await
    }

    async fn apply_to(
        &self,
        loaded: &Loaded,
        presented: &Credentials,
        change: &Change,
        terms: &Terms,
    ) -> Result<Outcome, StoreError> {
        let answer = async {
            match &self.inner {
                Inner::Memory(memory) => memory.apply_to(loaded, presented, change, terms).await,
                Inner::Redis(redis) => redis.apply_to(loaded, presented, change, terms).await,
            }
        };
        self.watch("apply", &(presented, change, terms), answer).await
    }

    async fn sign_out(&self, presented: &Credentials) -> Result<SignedOut, StoreError> {
        let answer = async {
            match &self.inner {
                Inner::Memory(memory) => memory.sign_out(presented).await,
                Inner::Redis(redis) => redis.sign_out(presented).await,
            }
        };
        self.watch("revoke", presented, answer).await
    }

    async fn revoke(&self, target: &Target) -> Result<u64, StoreError> {
        let answer = async {
            match &self.inner {
                Inner::Memory(memory) => memory.revoke(target).await,
                Inner::Redis(redis) => redis.revoke(target).await,
            }
        };
        self.watch("revoke", target, answer).await
    }

    async fn list(&self, user: &UserId, page: Page, terms: &Terms) -> Result<Vec<Device>, StoreError> {
        let answer = async {
            match &self.inner {
                Inner::Memory(memory) => memory.list(user, page, terms).await,
                Inner::Redis(redis) => redis.list(user, page, terms).await,
            }
        };
        self.watch("list", &(user, page, terms), answer).await
    }
}
