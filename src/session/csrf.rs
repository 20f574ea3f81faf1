//! The token for forms: what only a page of this session can know.

use super::Session;
use crate::csrf::{self, CSRF_HEADER, Judged, WRONG_TOKEN};
use crate::error::{Error, Result};
use crate::events::Event;
use crate::headers::Headers;
use crate::record::{Loaded, TokenFormat};

impl Session {
    /// Begins a session for a visitor who has none, so that a form gets a token. Use it for forms that must not be sent
    /// without one. Deferred: the session is stored and the cookie is sent when the response is ready. If there is a
    /// session, nothing happens.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_session(async |session| {
    /// session.begin()?;
    /// let form = format!(r#"<input type="hidden" name="csrf" value="{}">"#, session.csrf_token());
    /// # assert!(!session.csrf_token().is_empty());
    /// # let token = session.csrf_token();
    /// # session.commit().await?;
    /// # session.require_csrf(&token)?;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns an error only if the head of the response was already sent.
    pub fn begin(&self) -> Result<()> {
        let mut state = self.open_state()?;
        state.pending.begins = state.current.is_none();
        Ok(())
    }

    /// Returns the token to put into a form or into the header [`CSRF_HEADER`]. It is valid for this session only. Nothing
    /// is stored and the store is not asked: the token is derived from the hash of the session's secret.
    ///
    /// The token is empty with plain tokens, and for a visitor without a session, who does not get one by this. It is not
    /// empty if this request is going to create a session anyway; [`begin`](Session::begin) makes it do so. What a visitor
    /// without a session posts is judged by where it comes from.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_session(async |session| {
    /// assert_eq!(session.csrf_token(), "");
    /// session.sign_in("ada").await?;
    /// let token = session.csrf_token();
    /// session.check_csrf(&token)?;
    /// # Ok(())
    /// # });
    /// ```
    pub fn csrf_token(&self) -> String {
        let mut state = self.state();
        if self.format() == TokenFormat::Plain || state.over && state.current.is_none() {
            return String::new();
        }
        // a token of the secret before would die while the form is filled in
        state.mint_ahead(self.sessions());
        state.secret_hash_to_come().as_ref().map(csrf::token).unwrap_or_default()
    }

    /// Checks the token that came with a form, if there is something to protect. No round trip. (ASVS 3.5.1)
    ///
    /// | the visitor has | and the token is | |
    /// | --- | --- | --- |
    /// | a session | of the current secret, or of the held previous one | passes |
    /// | a session | empty | passes if the layer saw by `Sec-Fetch-Site` or `Origin` that a page of this site sent the request: that page was made before another tab made the session |
    /// | a session | any other | is refused |
    /// | no session | any | passes: there is no token for it, and the layer has judged where the request comes from |
    /// | a [bearer token](crate::ConfigBuilder::bearer_tokens) | any | passes: no other site can make a browser send that header |
    ///
    /// [`require_csrf`](Session::require_csrf) accepts only the first row and the last.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_session(async |session| {
    /// session.sign_in("ada").await?;
    /// session.check_csrf(&session.csrf_token())?;
    /// assert!(session.check_csrf("made up").unwrap_err().is_cross_site());
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns [`is_cross_site`](Error::is_cross_site), 403, if the token is refused: it is cut off, from before the
    /// sign-in, or of another session. Returns a configuration error with plain tokens, from which no token can be derived.
    pub fn check_csrf(&self, shown: &str) -> Result<()> {
        if self.0.judged == Judged::Bearer {
            return self.sessions().need_secrets();
        }
        let is_from_before = shown.is_empty() && self.0.judged == Judged::SameOrigin;
        if self.exists() && !is_from_before { self.require_csrf(shown) } else { self.sessions().need_secrets() }
    }

    /// Checks the token in the header [`CSRF_HEADER`] as [`check_csrf`](Session::check_csrf) does. A missing header counts
    /// as an empty token.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::CSRF_HEADER;
    /// # use http::HeaderMap;
    /// # doctest::with_session(async |session| {
    /// session.sign_in("ada").await?;
    /// let mut headers = HeaderMap::new();
    /// headers.insert(CSRF_HEADER, session.csrf_token().parse().unwrap());
    /// session.check_csrf_header(&headers)?;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`check_csrf`](Session::check_csrf).
    pub fn check_csrf_header(&self, headers: &impl Headers) -> Result<()> {
        self.check_csrf(in_header(headers))
    }

    /// Requires a valid token of every visitor, wherever the request comes from. No round trip. A visitor without a session
    /// has no token: let the page with the form [begin](Session::begin) a session. A request with a
    /// [bearer token](crate::ConfigBuilder::bearer_tokens) passes, because no other site can make a browser send one.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_session(async |session| {
    /// assert!(session.require_csrf("").unwrap_err().is_cross_site());
    /// session.sign_in("ada").await?;
    /// session.require_csrf(&session.csrf_token())?;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`check_csrf`](Session::check_csrf), also for an empty token and without a session.
    pub fn require_csrf(&self, shown: &str) -> Result<()> {
        self.sessions().need_secrets()?;
        if self.0.judged == Judged::Bearer {
            return Ok(());
        }
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

    /// Requires a valid token in the header [`CSRF_HEADER`], as [`require_csrf`](Session::require_csrf) does.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::CSRF_HEADER;
    /// # use http::HeaderMap;
    /// # doctest::with_session(async |session| {
    /// session.sign_in("ada").await?;
    /// let mut headers = HeaderMap::new();
    /// assert!(session.require_csrf_header(&headers).unwrap_err().is_cross_site());
    /// headers.insert(CSRF_HEADER, session.csrf_token().parse().unwrap());
    /// session.require_csrf_header(&headers)?;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`require_csrf`](Session::require_csrf).
    pub fn require_csrf_header(&self, headers: &impl Headers) -> Result<()> {
        self.require_csrf(in_header(headers))
    }
}

fn in_header(headers: &impl Headers) -> &str {
    headers.values(&CSRF_HEADER).next().and_then(|value| str::from_utf8(value).ok()).unwrap_or_default()
}
