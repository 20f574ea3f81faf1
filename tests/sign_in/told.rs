//! What the application's hook was told.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use cloakroom::{ConfigBuilder, Event};

/// Collects events. Clones collect the same.
#[derive(Clone, Default)]
pub(super) struct Told(Arc<(Mutex<Vec<Event>>, Condvar)>);

impl Told {
    pub(super) fn listen(&self, config: ConfigBuilder) -> ConfigBuilder {
        let told = self.clone();
        config.on_event(move |event| told.hear(event))
    }

    pub(super) fn hear(&self, event: &Event) {
        self.0.0.lock().unwrap().push(event.clone());
        self.0.1.notify_all();
    }

    /// Waits until so many were told, and forgets them.
    pub(super) fn forget(&self, count: usize) {
        self.after(count);
        self.0.0.lock().unwrap().clear();
    }

    /// Waits until so many were told; those, and that there are no more.
    pub(super) fn after(&self, count: usize) -> Vec<Event> {
        let waited =
            self.0.1.wait_timeout_while(self.0.0.lock().unwrap(), Duration::from_secs(20), |told| told.len() < count);
        let told = waited.unwrap().0.clone();
        assert!(told.len() >= count, "only {told:?}");
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(self.0.0.lock().unwrap().len(), count, "more than expected: {:?}", self.0.0.lock().unwrap());
        told
    }

    pub(super) fn names_after(&self, count: usize) -> Vec<&'static str> {
        self.after(count).iter().map(name).collect()
    }

    pub(super) fn all(&self) -> Vec<Event> {
        self.0.0.lock().unwrap().clone()
    }

    /// Those that were told by now; the hook runs shortly after.
    pub(super) fn names(&self) -> Vec<&'static str> {
        std::thread::sleep(Duration::from_millis(50));
        self.0.0.lock().unwrap().iter().map(name).collect()
    }
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Created { .. } => "Created",
        Event::SignedIn { .. } => "SignedIn",
        Event::Rotated { .. } => "Rotated",
        Event::Revoked { .. } => "Revoked",
        Event::Evicted { .. } => "Evicted",
        Event::Replayed { .. } => "Replayed",
        Event::SignInRefused { .. } => "SignInRefused",
        Event::CrossSiteRefused { .. } => "CrossSiteRefused",
        other => panic!("a new event: {other:?}"),
    }
}
