//! What a question has beside its body: headers, and parts of its address, for which a mistake is answered with a problem.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use cloakroom::SessionId;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::serve::problem::Problem;

/// The headers of the browser's request that the caller hands on.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is documentation: the visit looks at the headers")]
pub(crate) struct Browser {
    /// The browser's cookies, as they came. The service looks for its own among them.
    #[param(rename = "Cookie", required = false, value_type = String)]
    cookie: Option<String>,
    /// What the browser calls itself, for the list of devices. It matters at a sign-in only.
    #[param(rename = "User-Agent", required = false, value_type = String)]
    user_agent: Option<String>,
}

/// The query of the address.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum::extract::Query(query) = axum::extract::Query::from_request_parts(parts, state).await?;
        Ok(Query(query))
    }
}

/// What stands in the path for a name in braces.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum::extract::Path(path) = axum::extract::Path::from_request_parts(parts, state).await?;
        Ok(Path(path))
    }
}

/// Returns the id of a session that may stand in a path. A plain token is the id of its session and a secret, so it may not.
pub(super) fn public_id(text: &str) -> Option<SessionId> {
    SessionId::parse(text).ok().filter(|id| !id.is_plain())
}
