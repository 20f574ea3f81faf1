//! A question that is on its way while a clone of the handle goes on.

use std::sync::{Arc, Mutex};

use cloakroom::store::{
    Change, Credentials, Loaded, Lookup, Memory, NewSession, Outcome, SignedOut, Store, StoreError, Target, Terms,
};
use cloakroom::{Config, Device, LiveSession, Page, SessionId, Sessions, UserId};
use tokio::sync::{Notify, oneshot};

use crate::support::Browser;
use crate::{COUNT, Held, app, soon};

/// A store whose next read can be stopped.
#[derive(Clone, Default)]
struct Stopped {
    memory: Memory,
    next: Arc<Mutex<Option<Stop>>>,
    reached: Arc<Notify>,
}

struct Stop {
    is_before: bool,
    go_on: oneshot::Receiver<()>,
}

impl Stopped {
    /// Stops the next read before it is made, or before it is answered, until the sender is used.
    fn stop(&self, is_before: bool) -> oneshot::Sender<()> {
        let (sender, go_on) = oneshot::channel();
        *self.next.lock().unwrap() = Some(Stop { is_before, go_on });
        sender
    }

    async fn wait(&self, go_on: oneshot::Receiver<()>) {
        self.reached.notify_one();
        go_on.await.unwrap();
    }
}

impl Store for Stopped {
    async fn create(&self, new: &NewSession, terms: &Terms) -> Result<Outcome, StoreError> {
        self.memory.create(new, terms).await
    }

    async fn load(&self, presented: &Credentials, terms: &Terms) -> Result<Lookup, StoreError> {
        let stop = self.next.lock().unwrap().take();
        match stop {
            None => self.memory.load(presented, terms).await,
            Some(Stop { is_before: true, go_on }) => {
                self.wait(go_on).await;
                self.memory.load(presented, terms).await
            }
            Some(Stop { is_before: false, go_on }) => {
                let answer = self.memory.load(presented, terms).await;
                self.wait(go_on).await;
                answer
            }
        }
    }

    async fn load_by_id(&self, id: &SessionId, terms: &Terms) -> Result<Option<Loaded>, StoreError> {
        self.memory.load_by_id(id, terms).await
    }

    async fn apply(&self, presented: &Credentials, change: &Change, terms: &Terms) -> Result<Outcome, StoreError> {
        self.memory.apply(presented, change, terms).await
    }

    async fn sign_out(&self, presented: &Credentials) -> Result<SignedOut, StoreError> {
        self.memory.sign_out(presented).await
    }

    async fn revoke(&self, target: &Target) -> Result<u64, StoreError> {
        self.memory.revoke(target).await
    }

    async fn list(&self, user: &UserId, page: Page, terms: &Terms) -> Result<Vec<Device>, StoreError> {
        self.memory.list(user, page, terms).await
    }
}

struct Scene {
    store: Stopped,
    browser: Browser,
    live: LiveSession,
}

async fn scene() -> Scene {
    let (store, held) = (Stopped::default(), Held::default());
    let browser = Browser::new(app(&Sessions::new(store.clone(), Config::default()), &held));
    browser.visit("/write").await;
    browser.visit("/stream").await;
    let live = held.lock().unwrap().take().unwrap();
    Scene { store, browser, live }
}

#[tokio::test]
async fn a_question_with_a_secret_that_a_clone_has_followed_meanwhile_is_asked_again_and_is_no_end() {
    let Scene { store, browser, live } = scene().await;
    let go_on = store.stop(true);
    let asking = tokio::spawn({
        let live = live.clone();
        async move { live.is_live().await }
    });
    soon("the read", store.reached.notified()).await;
    for _ in 0..2 {
        browser.visit("/rotate").await;
        live.increment(COUNT, 1).await.unwrap();
    }
    go_on.send(()).unwrap();
    assert!(soon("the answer", asking).await.unwrap().unwrap());
    assert_eq!(live.increment(COUNT, 1).await.unwrap(), 3);
}

#[tokio::test]
async fn an_answer_that_comes_late_does_not_hide_what_a_clone_has_done_meanwhile() {
    let Scene { store, live, .. } = scene().await;
    let go_on = store.stop(false);
    let asking = tokio::spawn({
        let live = live.clone();
        async move { live.refresh().await }
    });
    soon("the read", store.reached.notified()).await;
    live.increment(COUNT, 1).await.unwrap();
    go_on.send(()).unwrap();
    soon("the answer", asking).await.unwrap().unwrap();
    assert_eq!(live.get(COUNT).unwrap(), Some(1));
}
