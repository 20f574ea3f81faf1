//! A look at the session of a request.

use axum::http::HeaderMap;
use cloakroom::{Error, Session};

use crate::demo::absence::Absence;
use crate::demo::form::Query;

/// What a look finds.
pub(crate) enum Seen {
    /// A session that lives.
    Session(Session),
    /// None, and why.
    Nobody(Absence),
}

/// The session after this look at it: extended where that was due, unless the request only peeks. Nobody where there is
/// none, also when it ended meanwhile.
pub(crate) async fn looked_at(
    session: Result<Session, Error>,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Seen, Error> {
    let session = session?;
    if query.peeks() {
        session.peek();
    }
    match session.commit().await {
        Ok(()) if session.exists() => Ok(Seen::Session(session)),
        Ok(()) => Ok(Seen::Nobody(Absence::of(headers, &session))),
        Err(error) if error.is_gone() => Ok(Seen::Nobody(Absence::Ended)),
        Err(error) => Err(error),
    }
}
