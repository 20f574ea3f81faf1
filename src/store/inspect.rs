//! Looking at any session, without its secret.

use std::future::Future;

use super::{Loaded, StoreError};
use crate::record::{SessionId, Terms};

/// What an operator's tools need of a store: any session, without its secret.
pub trait Inspect: Send + Sync + 'static {
    /// Returns a session by its id, or `None` if there is none.
    fn find(&self, id: &SessionId, terms: &Terms) -> impl Future<Output = Result<Option<Loaded>, StoreError>> + Send;

    /// A part of all sessions, about so many, from a cursor that the part before has answered. Each session that is there
    /// from the first to the last part is in one of them at least; a session may be in two.
    fn scan(&self, cursor: Option<&str>, about: usize) -> impl Future<Output = Result<Scanned, StoreError>> + Send;
}

/// A part of all sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Their ids.
    pub ids: Vec<SessionId>,
    /// Where the next part begins; `None` after the last.
    pub next: Option<String>,
}
