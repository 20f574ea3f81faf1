//! What a request says: the fields of its form or query, and the values that are made of them.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};

use crate::demo::answer::{Code, Problem};
use crate::demo::flags::Limits;

/// The longest user name, in characters.
pub(crate) const LONGEST_USERNAME: usize = 40;
pub(crate) const DEFAULT_USERNAME: &str = "Guest";

/// The largest form, in bytes.
pub(crate) const LARGEST_FORM: usize = 16 * 1024;

const FORM: &str = "application/x-www-form-urlencoded";

/// Name and value pairs, as a form or a query has them.
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    fn parse(encoded: &[u8]) -> Fields {
        Fields(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// The value of this name; where it is given more than once, the last one.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().rfind(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The user name: without surrounding blanks, and `Guest` where there is none.
    pub(crate) fn username(&self) -> Result<&str, Problem> {
        let name = self.value("username").unwrap_or_default().trim();
        if name.is_empty() {
            return Ok(DEFAULT_USERNAME);
        }
        if name.chars().count() > LONGEST_USERNAME || name.chars().any(char::is_control) {
            let why = format!("username must have at most {LONGEST_USERNAME} characters and no control characters");
            return Err(Problem::refused(Code::Username, why));
        }
        Ok(name)
    }

    /// The time to live, of `longest` seconds at most.
    pub(crate) fn ttl(&self, longest: u64) -> Result<Duration, Problem> {
        let text = self.value("ttl").unwrap_or_default().trim();
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        is_number
            .then(|| text.parse().ok())
            .flatten()
            .filter(|secs| (1..=longest).contains(secs))
            .map(Duration::from_secs)
            .ok_or_else(|| {
                let why = format!("ttl must be a whole number of seconds from 1 to {longest}");
                Problem::refused(Code::Ttl, why)
            })
    }

    /// The time to live, or the default where the form has none.
    pub(crate) fn ttl_or_default(&self, limits: &Limits) -> Result<Duration, Problem> {
        match self.value("ttl").unwrap_or_default().trim() {
            "" => Ok(Duration::from_secs(limits.default_ttl)),
            _ => self.ttl(limits.longest_ttl),
        }
    }
}

/// A form in the body of a request. No body is an empty form.
impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Fields, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).cloned();
        let body = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::form(rejection.status(), format!("the form must have at most {LARGEST_FORM} bytes"))
            }
            status => Problem::form(status, rejection.body_text()),
        })?;
        let is_form = kind.is_some_and(|kind| {
            let kind = kind.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
            kind.trim_ascii().eq_ignore_ascii_case(FORM.as_bytes())
        });
        if !body.is_empty() && !is_form {
            let why = format!("the form must be sent as {FORM}");
            return Err(Problem::form(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
        }
        Ok(Fields::parse(&body))
    }
}

/// The query of a GET request.
pub(crate) struct Query(pub(crate) Fields);

impl Query {
    /// Whether this request only looks: `?peek=1`.
    pub(crate) fn peeks(&self) -> bool {
        self.0.value("peek") == Some("1")
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query, Self::Rejection> {
        Ok(Query(Fields::parse(parts.uri.query().unwrap_or_default().as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { default_ttl: 60, longest_ttl: 43_200, most_places: 3 };

    fn error<T>(answer: Result<T, Problem>) -> String {
        answer.err().map(|problem| problem.why).unwrap_or_default()
    }

    #[test]
    fn a_ttl_is_a_whole_number_of_seconds_within_the_limit() {
        let ttl = |body: &str| Fields::parse(body.as_bytes()).ttl(43_200);
        for (body, secs) in [("ttl=1", 1), ("ttl=43200", 43_200), ("ttl=+90+", 90), ("ttl=5&ttl=7", 7)] {
            assert_eq!(ttl(body).ok(), Some(Duration::from_secs(secs)), "{body}");
        }
        let bad = ["", "ttl=", "ttl=0", "ttl=-1", "ttl=1.5", "ttl=1e3", "ttl=%2B5", "ttl=x", "ttl=43201"];
        for body in bad.into_iter().chain(["ttl=18446744073709551616", "ttl=%D9%A3"]) {
            assert_eq!(error(ttl(body)), "ttl must be a whole number of seconds from 1 to 43200", "{body}");
        }
    }

    #[test]
    fn a_missing_or_empty_ttl_is_the_default() {
        let ttl = |body: &str| Fields::parse(body.as_bytes()).ttl_or_default(&LIMITS);
        for body in ["username=andrew", "ttl=", "ttl=+"] {
            assert_eq!(ttl(body).ok(), Some(Duration::from_secs(60)), "{body}");
        }
        assert!(ttl("ttl=0").is_err());
    }

    #[test]
    fn a_username_is_counted_in_characters() {
        let long = |c: &str, n| format!("username={}", c.repeat(n));
        let username = |body: String| Fields::parse(body.as_bytes()).username().map(str::to_owned);
        assert_eq!(username(String::new()).ok().as_deref(), Some("Guest"));
        assert_eq!(username("username=+++".into()).ok().as_deref(), Some("Guest"));
        assert_eq!(username("username=+andrew+".into()).ok().as_deref(), Some("andrew"));
        assert_eq!(username(long("é", 40)).ok(), Some("é".repeat(40)));
        let why = "username must have at most 40 characters and no control characters";
        assert_eq!(error(username(long("a", 41))), why);
        assert_eq!(error(username("username=a%0Ab".into())), why);
    }
}
