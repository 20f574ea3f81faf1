//! A store that begins while its servers are away. It looks for them in the background, and every call fails until they are
//! reached.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::attempts::{Attempts, delays};
use super::plan::Plan;
use super::topology::Topology;
use crate::error::StoreError;

pub(super) struct Later {
    /// The address without its password, so that it may be shown.
    shown: String,
    timeout: Duration,
    known: OnceLock<Topology>,
    /// Why the last attempt failed.
    why: Mutex<String>,
    attempts: Arc<Attempts>,
}

impl Later {
    /// Begins to look for the servers in the background, for as long as somebody holds the returned value.
    pub(super) fn new(plan: Plan) -> Arc<Later> {
        let later = Arc::new(Later {
            shown: plan.to_string(),
            timeout: plan.settings.timeout,
            known: OnceLock::new(),
            why: Mutex::new("nothing has answered yet".to_owned()),
            attempts: Arc::new(Attempts::new()),
        });
        tokio::spawn(look_for(Arc::downgrade(&later), plan));
        later
    }

    /// Returns the servers, or `None` until they are reached.
    pub(super) fn found(&self) -> Option<&Topology> {
        self.known.get()
    }

    /// Returns the servers. If they are not reached yet, waits first for one attempt to reach them, unless the attempts take
    /// long to fail.
    pub(super) async fn known(&self) -> Result<&Topology, StoreError> {
        if self.found().is_none() {
            self.attempts.wait(|| self.found().is_none(), self.timeout).await;
        }
        self.found().ok_or_else(|| {
            let why = self.why.lock().unwrap_or_else(PoisonError::into_inner);
            StoreError::new(format!("{} is not connected yet: {why}", self.shown))
        })
    }

    /// Remembers why an attempt failed. An error that repeats is logged only once.
    fn note(&self, error: String) {
        let mut why = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        if *why != error {
            tracing::warn!(target: "cloakroom", "{error}");
            *why = error;
        }
    }
}

async fn look_for(later: Weak<Later>, plan: Plan) {
    for delay in delays() {
        let begun = Instant::now();
        let reached = plan.reach().await;
        let Some(later) = later.upgrade() else { return };
        match reached {
            Ok(known) => {
                tracing::info!(target: "cloakroom", server = %later.shown, "connected");
                let _ = later.known.set(known);
                return later.attempts.end(false);
            }
            Err(error) => {
                later.note(error.to_string());
                later.attempts.end(begun.elapsed() >= later.timeout);
            }
        }
        let attempts = later.attempts.clone();
        drop(later);
        attempts.pause(delay).await;
    }
}

impl fmt::Display for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.found() {
            Some(known) => write!(f, "{known}"),
            None => write!(f, "{} (not connected yet)", self.shown),
        }
    }
}
