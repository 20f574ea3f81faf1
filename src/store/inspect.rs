//! Looking at any session, without its secret.

use std::future::Future;

use super::{Loaded, StoreError};
use crate::record::{SessionId, Terms};

/// What an operator's tools need of a store: any session, without its secret.
pub trait Inspect: Send + Sync + 'static {
    /// Returns a session by its id, or `None` if there is none.
    fn find(&self, id: &SessionId, terms: &Terms) -> impl Future<Output = Result<Option<Loaded>, StoreError>> + Send;

    /// Returns a part of all sessions, with about as many ids as `about` says. The cursor comes from the part before; the
    /// first part has none. A session that is there from the first part to the last is in at least one of the parts, and may
    /// be in two.
    fn scan(&self, cursor: Option<&str>, about: usize) -> impl Future<Output = Result<Scanned, StoreError>> + Send;
}

/// A part of all sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Their ids.
    pub ids: Vec<SessionId>,
    /// The cursor for the next part. `None` after the last part.
    pub next: Option<String>,
}
