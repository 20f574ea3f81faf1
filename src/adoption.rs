//! Takes visitors over from another session system, so that the change to Cloakroom signs nobody out.

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};
use serde::Serialize;

use crate::cookie::{self, CookieSettings};
use crate::error::{Error, Result, StoreError};
use crate::record::{Credentials, Field, Fields, TokenFormat, UserId, check_name, value};

/// Any error of the application, for [`FormerSessions`].
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The sessions of the system that an application used before Cloakroom. The application implements this trait with whatever
/// client it has for the former store, and gives it to an [`Adoption`].
///
/// [Coming from elsewhere](crate::guide::coming_from_elsewhere) has the whole story.
pub trait FormerSessions: Send + Sync + 'static {
    /// Returns the session that the former cookie opens, or `None` if it opens none. It is asked for a browser that brings the
    /// former cookie and none of Cloakroom. `cookie` is the cookie's value as it stands in the request. `headers` are the
    /// headers of the request, on actix-web only [those](crate::web::Visit::HEADERS) that Cloakroom looks at: all cookies are
    /// among them.
    ///
    /// # Errors
    /// An error makes the request fail with 503: that the former store does not answer does not mean that nobody is signed in.
    fn find(
        &self,
        cookie: &str,
        headers: &HeaderMap,
    ) -> impl Future<Output = Result<Option<FormerSession>, BoxError>> + Send;

    /// Ends the session that the former cookie opens. It must not open anything afterwards. A session that is gone is no error.
    ///
    /// # Errors
    /// An error makes a sign-out fail with 503, and the visitor stays signed in.
    fn end(&self, cookie: &str) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// What is taken over of a former session.
#[derive(Debug, Clone)]
pub struct FormerSession {
    pub(crate) user: Option<UserId>,
    pub(crate) fields: Fields,
    pub(crate) auth_time: SystemTime,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) absolute_lifetime: Option<Duration>,
    pub(crate) cookie_max_age: Option<Duration>,
}

impl FormerSession {
    /// Returns the session of a visitor who is not signed in.
    pub fn of_visitor() -> FormerSession {
        FormerSession {
            user: None,
            fields: Fields::new(),
            auth_time: SystemTime::UNIX_EPOCH,
            idle_timeout: None,
            absolute_lifetime: None,
            cookie_max_age: None,
        }
    }

    /// Returns the session of a user who is signed in.
    ///
    /// # Errors
    /// Returns [`is_invalid`](Error::is_invalid) for a user id that is not allowed.
    pub fn of_user<U>(user: U) -> Result<FormerSession>
    where
        U: TryInto<UserId>,
        Error: From<U::Error>,
    {
        Ok(FormerSession { user: Some(user.try_into()?), ..FormerSession::of_visitor() })
    }

    /// Takes the value of a field over.
    ///
    /// # Errors
    /// Returns [`is_invalid`](Error::is_invalid) for a name or a value that is not allowed.
    pub fn field<T: Borrow<V>, V: Serialize + ?Sized>(mut self, field: Field<T>, value: &V) -> Result<FormerSession> {
        check_name(field.name(), TokenFormat::Secret)?;
        let text = value::to_text(value).map_err(|why| Error::invalid(format!("field `{}`", field.name()), why))?;
        self.fields.insert(field.name(), text);
        Ok(self)
    }

    /// Says when the user proved who they are. If the former system does not know that, leave it out: the user is then signed in, but
    /// a route that needs a recent sign-in asks for the password.
    pub fn auth_time(mut self, time: SystemTime) -> FormerSession {
        self.auth_time = time;
        self
    }

    /// Gives the new session an idle timeout of its own, in whole seconds, instead of the configured one.
    pub fn idle_timeout(mut self, idle: Duration) -> FormerSession {
        self.idle_timeout = Some(idle);
        self
    }

    /// Gives the session of a user an absolute lifetime of its own, in whole seconds from now, instead of the configured one.
    pub fn absolute_lifetime(mut self, absolute: Duration) -> FormerSession {
        self.absolute_lifetime = Some(absolute);
        self
    }

    /// Makes the browser of a user keep the new cookie for this time, also when it is closed.
    pub fn cookie_max_age(mut self, age: Duration) -> FormerSession {
        self.cookie_max_age = Some(age);
        self
    }
}

/// How visitors are taken over from the sessions that an application had before. Give it to
/// [`ConfigBuilder::adopt`](crate::ConfigBuilder::adopt).
#[derive(Clone)]
pub struct Adoption {
    former: std::sync::Arc<dyn AnyFormer>,
    pub(crate) cookie: CookieSettings,
    pub(crate) is_side_by_side: bool,
}

impl Adoption {
    /// Takes over the visitors who bring a cookie of this name, which opens one of these former sessions.
    pub fn new(cookie_name: impl Into<String>, former: impl FormerSessions) -> Adoption {
        let cookie = CookieSettings { name: cookie_name.into(), ..CookieSettings::default() };
        Adoption { former: std::sync::Arc::new(former), cookie, is_side_by_side: false }
    }

    /// Says which path the former cookie has. Default: `/`. Without the right path a browser keeps the cookie.
    pub fn cookie_path(mut self, path: impl Into<String>) -> Adoption {
        self.cookie.path = path.into();
        self
    }

    /// Says which domain the former cookie has. Default: none. Without the right domain a browser keeps the cookie.
    pub fn cookie_domain(mut self, domain: impl Into<String>) -> Adoption {
        self.cookie.domain = Some(domain.into());
        self
    }

    /// Leaves the former session alive after it was taken over, for as long as the former application still answers some of the
    /// requests. It ends when its browser's session here has ended.
    pub fn side_by_side(mut self) -> Adoption {
        self.is_side_by_side = true;
        self
    }

    /// Checks the settings beside those of the sessions' own cookie.
    pub(crate) fn check(&mut self, own: &CookieSettings, format: TokenFormat) -> Result<()> {
        if format == TokenFormat::Plain {
            let reason = "is not allowed with TokenFormat::Plain, because plain tokens have no sign-in";
            return Err(Error::config("adopt", reason));
        }
        self.cookie.secure = own.secure;
        self.cookie.check()?;
        if self.is_side_by_side && self.is_replaced_by(own) {
            let reason = "needs another cookie_name while the former application is side by side: browsers would replace the \
                          former cookie by the new one";
            return Err(Error::config("adopt", reason));
        }
        Ok(())
    }

    /// Whether a browser keeps only one of the two cookies.
    pub(crate) fn is_replaced_by(&self, own: &CookieSettings) -> bool {
        (&self.cookie.name, &self.cookie.path, &self.cookie.domain) == (&own.name, &own.path, &own.domain)
    }

    /// Reads what a request brings of the former system. Values that are tokens of our own are none of it.
    pub(crate) fn read(&self, headers: &HeaderMap) -> Option<FormerCookie> {
        let cookies = headers.get_all(http::header::COOKIE).iter().map(HeaderValue::as_bytes);
        let foreign = |value: &&[u8]| Credentials::parse(TokenFormat::Secret, value).is_none();
        let value = cookie::values(cookies, &self.cookie).find(foreign)?;
        let value = std::str::from_utf8(value).ok().filter(|value| !value.is_empty())?.to_owned();
        Some(FormerCookie { value, headers: headers.clone() })
    }

    pub(crate) async fn find(&self, brought: &FormerCookie, timeout: Duration) -> Result<Option<FormerSession>> {
        asked(self.former.find(&brought.value, &brought.headers), timeout).await
    }

    pub(crate) async fn end(&self, brought: &FormerCookie, timeout: Duration) -> Result<()> {
        asked(self.former.end(&brought.value), timeout).await
    }
}

/// Waits for the former sessions no longer than for our own store.
async fn asked<T>(answer: Answer<'_, T>, timeout: Duration) -> Result<T> {
    let problem = match tokio::time::timeout(timeout, answer).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within store_timeout, {timeout:?}"),
    };
    Err(StoreError::new(format!("the former sessions could not be asked: {problem}")).into())
}

impl fmt::Debug for Adoption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Adoption { cookie, is_side_by_side, .. } = self;
        f.debug_struct("Adoption").field("cookie", cookie).field("is_side_by_side", is_side_by_side).finish()
    }
}

/// What a request brings of the former system.
pub(crate) struct FormerCookie {
    value: String,
    headers: HeaderMap,
}

impl fmt::Debug for FormerCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FormerCookie(…)")
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'a>>;

/// [`FormerSessions`] without their type, so that `Config` is not generic.
trait AnyFormer: Send + Sync {
    fn find<'a>(&'a self, cookie: &'a str, headers: &'a HeaderMap) -> Answer<'a, Option<FormerSession>>;
    fn end<'a>(&'a self, cookie: &'a str) -> Answer<'a, ()>;
}

impl<F: FormerSessions> AnyFormer for F {
    fn find<'a>(&'a self, cookie: &'a str, headers: &'a HeaderMap) -> Answer<'a, Option<FormerSession>> {
        Box::pin(FormerSessions::find(self, cookie, headers))
    }

    fn end<'a>(&'a self, cookie: &'a str) -> Answer<'a, ()> {
        Box::pin(FormerSessions::end(self, cookie))
    }
}
