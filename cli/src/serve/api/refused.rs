//! The problems that a question may be answered with, as the description of the API lists them.

use utoipa::IntoResponses;

use crate::serve::problem::Problem;

/// What every question may be answered with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it is documentation: the answers are made of problems")]
pub(crate) enum Refused {
    /// `invalid`: the detail says what is not allowed
    #[response(status = 400, content_type = "application/problem+json")]
    Invalid(Problem),
    /// `key`: there is no valid API key. `gone`: the cookie opens no session any more. `signed-out`: nobody is signed in
    #[response(status = 401, content_type = "application/problem+json")]
    Nobody(Problem),
    /// `rights`: the API key does not allow this
    #[response(status = 403, content_type = "application/problem+json")]
    Rights(Problem),
    /// `internal`
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// `unavailable`: the store does not answer. `unknown-outcome`: it is not known whether the change was made. `not-durable`: it was
    /// made, but not as durably as is configured
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// What a question with a body may be answered with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it is documentation: the answers are made of problems")]
pub(crate) enum RefusedBody {
    /// `invalid`: the body did not come in time
    #[response(status = 408, content_type = "application/problem+json")]
    Slow(Problem),
    /// `too-large`: the body is larger than any session may be, or the session cannot hold the values
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// `invalid`: the body is not JSON by its Content-Type
    #[response(status = 415, content_type = "application/problem+json")]
    OtherType(Problem),
}

/// What a question may be answered with that changes the token or the user of a session.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it is documentation: the answers are made of problems")]
pub(crate) enum Conflict {
    /// `conflict`: another request was faster. `limit`: the user has the most sessions that are allowed
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
}
