//! A request that wants something changed: its session, its form, and whether the form came from a page of ours.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::HeaderMap;
use cloakroom::{CSRF_HEADER, Error, Session};

use crate::demo::Demo;
use crate::demo::absence::Absence;
use crate::demo::answer::{Problem, Wants};
use crate::demo::form::Fields;

pub(crate) struct Posted {
    pub(crate) wants: Wants,
    session: Result<Session, Error>,
    form: Result<Fields, Problem>,
    headers: HeaderMap,
    plain_tokens: bool,
}

impl Posted {
    /// The form's fields.
    pub(crate) fn form(&self) -> Result<&Fields, Problem> {
        self.form.as_ref().map_err(Problem::clone)
    }

    /// Whatever session the visitor has, even none. For signing in, where a form may well be older than the session: that
    /// it came from this site is the session layer's to judge.
    pub(crate) fn any_session(&self) -> Result<Session, Error> {
        self.session.clone()
    }

    /// Whatever session the visitor has, even none; where there is one and a browser's form asks for something, the form is of
    /// this session's page.
    pub(crate) fn any_session_of_this_page(&self) -> Result<Session, Problem> {
        let session = self.any_session()?;
        if session.exists() {
            self.check_token(&session)?;
        }
        Ok(session)
    }

    /// The session, which exists; where a browser's form asks for something, the form is of this session's page.
    pub(crate) fn session(&self) -> Result<Session, Problem> {
        let session = self.any_session_of_this_page()?;
        if !session.exists() {
            return Err(Problem::without(Absence::of(&self.headers, &session)));
        }
        Ok(session)
    }

    /// A program has no page to take a token from, so it may leave it out; a wrong one is refused all the same. That no
    /// other site plays the program is the session layer's to judge.
    fn check_token(&self, session: &Session) -> Result<(), Problem> {
        // a form that cannot be read may have a wrong one in it
        let shown = self.form()?.value("csrf");
        match shown {
            _ if self.plain_tokens => {}
            Some(shown) => session.check_csrf(shown)?,
            None if self.wants == Wants::Page || self.headers.contains_key(CSRF_HEADER) => {
                session.check_csrf_header(&self.headers)?;
            }
            None => {}
        }
        Ok(())
    }
}

impl FromRequest<Arc<Demo>> for Posted {
    type Rejection = Infallible;

    async fn from_request(request: Request, demo: &Arc<Demo>) -> Result<Posted, Infallible> {
        let (mut parts, body) = request.into_parts();
        let Ok(wants) = Wants::from_request_parts(&mut parts, demo).await;
        let session = Session::from_request_parts(&mut parts, demo).await;
        let headers = parts.headers.clone();
        let form = Fields::from_request(Request::from_parts(parts, body), demo).await;
        Ok(Posted { wants, session, form, headers, plain_tokens: demo.plain_tokens })
    }
}
