//! The token for forms: what only a page of this session can know.

use http::HeaderMap;

use super::Session;
use crate::csrf::{self, CSRF_HEADER, Judged, WRONG_TOKEN};
use crate::error::{Error, Result};
use crate::events::Event;
use crate::record::{Loaded, TokenFormat};

impl Session {
    /// Begins a session for a visitor who has none, so that a form has a token: for forms that must not be sent without one.
    /// Deferred: it is stored, and the cookie sent, when the response is ready. Where there is a session nothing happens.
    ///
    /// ```
    /// # use cloakroom::{Error, Session};
    /// async fn form(session: Session) -> Result<String, Error> {
    ///     session.begin()?;
    ///     Ok(format!(r#"<input type="hidden" name="csrf" value="{}">"#, session.csrf_token()))
    /// }
    ///
    /// async fn posted(session: Session, csrf: String) -> Result<(), Error> {
    ///     session.require_csrf(&csrf)
    /// }
    /// ```
    ///
    /// # Errors
    /// Only when the response head has left.
    pub fn begin(&self) -> Result<()> {
        let mut state = self.open_state()?;
        state.pending.begins = state.current.is_none();
        Ok(())
    }

    /// A token to put into a form, or into the header [`CSRF_HEADER`]: valid for this session only. Nothing is stored and
    /// nothing asked; it is derived from the secret's hash.
    ///
    /// Empty for a visitor without a session, who gets none created for it unless this request is going to create one anyway
    /// ([`begin`](Session::begin) makes it do so), and with plain tokens. What such a visitor posts is judged by where it comes
    /// from.
    pub fn csrf_token(&self) -> String {
        let mut state = self.state();
        if self.format() == TokenFormat::Plain || state.over && state.current.is_none() {
            return String::new();
        }
        // a token of the secret before would die while the form is filled in
        state.mint_ahead(self.sessions());
        state.secret_hash_to_come().as_ref().map(csrf::token).unwrap_or_default()
    }

    /// Checks the token that came with a form, where there is something to protect. No round trip. (ASVS 3.5.1)
    ///
    /// | the visitor has | and the token is | |
    /// | --- | --- | --- |
    /// | a session | of the current secret, or of the held previous one | passes |
    /// | a session | empty | passes if the layer saw by `Sec-Fetch-Site` or `Origin` that a page of this site sent the request: that page was made before another tab made the session |
    /// | a session | any other | is refused |
    /// | no session | any | passes: there is no token for it, and the layer has judged where it comes from |
    ///
    /// [`require_csrf`](Session::require_csrf) lets only the first pass.
    ///
    /// # Errors
    /// [`is_cross_site`](Error::is_cross_site), 403, for what is refused: a token that is cut off, from before the sign-in or of
    /// another session; a configuration error with plain tokens, from which no token can be derived.
    pub fn check_csrf(&self, shown: &str) -> Result<()> {
        let is_from_before = shown.is_empty() && self.0.judged == Judged::SameOrigin;
        if self.exists() && !is_from_before { self.require_csrf(shown) } else { self.sessions().need_secrets() }
    }

    /// The same for the header [`CSRF_HEADER`]; one that is missing counts as empty.
    ///
    /// # Errors
    /// As [`check_csrf`](Session::check_csrf).
    pub fn check_csrf_header(&self, headers: &HeaderMap) -> Result<()> {
        self.check_csrf(in_header(headers))
    }

    /// Requires a form's token, of every visitor and wherever the request comes from. No round trip. A visitor without a
    /// session has none: the page with the form [begins](Session::begin) one.
    ///
    /// # Errors
    /// As [`check_csrf`](Session::check_csrf), also for an empty token and without a session.
    pub fn require_csrf(&self, shown: &str) -> Result<()> {
        self.sessions().need_secrets()?;
        let state = self.state();
        let accepted = state.current.as_ref().map(|current| {
            let Loaded { record, now } = &current.loaded;
            let held = record.previous.filter(|held| held.until.is_none_or(|until| *now < until));
            [record.secret_hash, held.map(|held| held.secret_hash)]
        });
        if accepted.iter().flatten().flatten().any(|hash| csrf::matches(shown, hash)) {
            return Ok(());
        }
        let session = state.presented().map(|presented| presented.id);
        self.sessions().tell(Event::CrossSiteRefused { session, reason: WRONG_TOKEN });
        Err(Error::cross_site(WRONG_TOKEN))
    }

    /// The same for the header [`CSRF_HEADER`].
    ///
    /// # Errors
    /// As [`require_csrf`](Session::require_csrf).
    pub fn require_csrf_header(&self, headers: &HeaderMap) -> Result<()> {
        self.require_csrf(in_header(headers))
    }
}

fn in_header(headers: &HeaderMap) -> &str {
    headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
