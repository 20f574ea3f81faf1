//! What the demo answers: JSON to programs, and a redirect to the page to a form of a browser.

use std::convert::Infallible;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use cloakroom::{Error, Session, TokenFormat, store::reserved_fields};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::demo::absence::Absence;
use crate::demo::fields::USERNAME;
use crate::demo::refused::Refused;

/// Seconds after which a client may ask a store again that did not answer.
const RETRY_AFTER: &str = "1";

/// How the one who asks wants to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// A browser's form: back to the page.
    Page,
    /// Everything else.
    Json,
}

impl Wants {
    pub(crate) fn of(headers: &HeaderMap) -> Wants {
        let accepts = |kind: &str| {
            let lines = headers.get_all(header::ACCEPT).into_iter();
            let mut kinds = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
            kinds.any(|given| given.split(';').next().is_some_and(|given| given.trim().eq_ignore_ascii_case(kind)))
        };
        if accepts("text/html") && !accepts("application/json") { Wants::Page } else { Wants::Json }
    }

    /// The answer to a POST: what stands now, or why not.
    pub(crate) fn answer(self, answer: Result<impl IntoResponse, Problem>) -> Response {
        match (self, answer) {
            (Wants::Json, Ok(answer)) => answer.into_response(),
            (Wants::Json, Err(problem)) => problem.into_response(),
            (Wants::Page, Ok(_)) => Redirect::to("/").into_response(),
            (Wants::Page, Err(problem)) if problem.code == Code::Refused => {
                Refused { why: &problem.why }.into_response()
            }
            (Wants::Page, Err(problem)) => Redirect::to(&format!("/?error={}", problem.code.as_str())).into_response(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Wants {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Wants, Infallible> {
        Ok(Wants::of(&parts.headers))
    }
}

/// The session as it stands: what the JSON shows of it.
#[derive(Serialize)]
pub(crate) struct Standing {
    authenticated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    session: Option<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    configured_ttl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page_views: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl Standing {
    /// Nobody is here.
    pub(crate) const ANONYMOUS: Standing = Standing {
        authenticated: false,
        session_id: None,
        session: None,
        configured_ttl: None,
        ttl: None,
        page_views: None,
        reason: None,
    };

    /// Nobody is here, and this is why.
    pub(crate) fn without(absence: Absence) -> Standing {
        Standing { reason: absence.reason(), ..Standing::ANONYMOUS }
    }

    pub(crate) fn of(session: &Session) -> Standing {
        let (Some(id), Some(idle), true) = (session.id(), session.idle_timeout(), session.exists()) else {
            return Standing::ANONYMOUS;
        };
        Standing {
            authenticated: true,
            session_id: Some(id.to_string()),
            session: Some(Shown::of(session, if id.is_plain() { TokenFormat::Plain } else { TokenFormat::Secret })),
            configured_ttl: Some(idle.as_secs()),
            ttl: session.remaining().map(|left| whole_seconds(left.as_millis())),
            page_views: None,
            reason: None,
        }
    }

    /// The same with the counter's new value beside it.
    pub(crate) fn with_page_views(self, page_views: i64) -> Standing {
        Standing { page_views: Some(page_views), ..self }
    }
}

impl IntoResponse for Standing {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

/// Whole seconds, rounded up: what is left is never shown as nothing.
pub(crate) fn whole_seconds(millis: u128) -> u64 {
    millis.div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

/// A session's fields as text, in the store's order: the application's first. The user name is as it was given: the
/// store writes one that looks like a number with quotes.
struct Shown(Vec<(String, String)>);

impl Shown {
    /// What is reserved is left out, but for the three fields of the tutorials.
    fn of(session: &Session, format: TokenFormat) -> Shown {
        let (kept, reserved) = (reserved_fields(TokenFormat::Plain), reserved_fields(format));
        let mut fields = session.stored();
        fields.retain(|(name, _)| kept.contains(&name.as_str()) || !reserved.contains(&name.as_str()));
        fields.sort_by_key(|(name, _)| kept.contains(&name.as_str()));
        if let Ok(Some(username)) = session.get(USERNAME) {
            fields
                .iter_mut()
                .filter(|(name, _)| name == USERNAME.name())
                .for_each(|(_, text)| text.clone_from(&username));
        }
        Shown(fields)
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, text) in &self.0 {
            map.serialize_entry(name, text)?;
        }
        map.end()
    }
}

/// Why something was not done.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: Code,
    pub(crate) why: String,
}

/// A [`Problem`] in a URL of the page, which has a text for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// The TTL was refused.
    Ttl,
    /// The user name was refused.
    Username,
    /// The form could not be read.
    Form,
    /// There is no session, and never was one.
    NoSession,
    /// There was one.
    Ended,
    /// There was one, and its time was up. Only the page knows this.
    Expired,
    /// The device was signed out before.
    NoDevice,
    /// Another request was faster.
    Conflict,
    /// The form came from elsewhere, or without the session's token. It has a page of its own.
    Refused,
    /// The store does not answer.
    Store,
    /// Something else.
    Failed,
}

impl Code {
    const ALL: [(Code, &str); 11] = [
        (Code::Ttl, "ttl"),
        (Code::Username, "username"),
        (Code::Form, "form"),
        (Code::NoSession, "no-session"),
        (Code::Ended, "ended"),
        (Code::Expired, "expired"),
        (Code::NoDevice, "no-device"),
        (Code::Conflict, "conflict"),
        (Code::Refused, "refused"),
        (Code::Store, "store"),
        (Code::Failed, "failed"),
    ];

    pub(crate) fn parse(text: &str) -> Option<Code> {
        Code::ALL.into_iter().find(|(_, name)| *name == text).map(|(code, _)| code)
    }

    fn as_str(self) -> &'static str {
        Code::ALL.into_iter().find(|(code, _)| *code == self).map_or("failed", |(_, name)| name)
    }
}

impl Problem {
    /// A value that is not taken.
    pub(crate) fn refused(code: Code, why: String) -> Problem {
        Problem { status: StatusCode::BAD_REQUEST, code, why }
    }

    /// A form that cannot be read.
    pub(crate) fn form(status: StatusCode, why: String) -> Problem {
        Problem { status, code: Code::Form, why }
    }

    /// Something that needs a session.
    pub(crate) fn without(absence: Absence) -> Problem {
        let code = if absence == Absence::NeverCame { Code::NoSession } else { Code::Ended };
        let why = format!("{}: send POST /login to start one", absence.reason().unwrap_or("there is no session"));
        Problem { status: StatusCode::UNAUTHORIZED, code, why }
    }

    pub(crate) fn no_such_route(status: StatusCode, why: &str) -> Problem {
        Problem { status, code: Code::Failed, why: why.to_owned() }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        if error.is_gone() {
            return Problem::without(Absence::Ended);
        }
        if error.is_signed_out() {
            return Problem::without(Absence::NeverCame);
        }
        // the library itself tells of a form that it refused
        if !error.is_cross_site() {
            tracing::warn!(%error, "a request failed");
        }
        let status = match StatusCode::from_u16(error.status()) {
            // every value was checked before: what does not fit is in the store already
            _ if error.is_invalid() => StatusCode::CONFLICT,
            Ok(status) => status,
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let (code, why) = match error.is_store() {
            true if error.is_unknown() => {
                (Code::Store, "the session store did not answer: the change was made once or not at all".to_owned())
            }
            true => (Code::Store, "the session store does not answer: try again in a moment".to_owned()),
            false if error.is_cross_site() => (Code::Refused, error.to_string()),
            false if error.is_conflict() => (Code::Conflict, error.to_string()),
            false => (Code::Failed, error.to_string()),
        };
        Problem { status, code, why }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: String,
        }
        let mut response = (self.status, Json(Body { error: self.why })).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static(RETRY_AFTER));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_browsers_form_is_sent_back_to_the_page() {
        let wants = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().expect("an Accept header"));
            Wants::of(&headers)
        };
        assert_eq!(wants("text/html,application/xhtml+xml,*/*;q=0.8"), Wants::Page);
        assert_eq!(wants("Text/HTML;q=0.9"), Wants::Page);
        for json in ["*/*", "application/json", "text/html, application/json", "text/plain", "text/htmlx"] {
            assert_eq!(wants(json), Wants::Json, "{json}");
        }
        assert_eq!(Wants::of(&HeaderMap::new()), Wants::Json);
    }

    #[test]
    fn what_is_left_is_rounded_up() {
        assert_eq!([0, 1, 999, 1000, 1001].map(whole_seconds), [0, 1, 1, 1, 2]);
    }

    #[test]
    fn every_code_of_the_url_is_read_back() {
        for (code, name) in Code::ALL {
            assert_eq!(Code::parse(name), Some(code));
            assert_eq!(code.as_str(), name);
        }
        assert_eq!(Code::parse("<script>"), None);
    }
}
