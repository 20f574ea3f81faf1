//! The settings, their defaults, and the contradictions that are found when they are built.

use std::sync::Arc;
use std::time::Duration;

use crate::adoption::Adoption;
use crate::bearer::BearerSettings;
use crate::cookie::{self, CookieSettings, SameSite};
use crate::error::{Error, Result};
use crate::events::{Event, Hook};
use crate::local_path::is_local_path;
use crate::origin::is_origin;
use crate::record::{
    MAX_SECONDS, MAX_SESSIONS_PER_USER, OnLimit, OnReplay, Record, Terms, TokenFormat, problem_with_lifetime,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The settings of [`Sessions`](crate::Sessions), checked. The default settings are right for most applications.
///
/// ```
/// use cloakroom::{Config, Sessions, store::Memory};
/// use std::time::Duration;
///
/// // every setting that is not named keeps its default
/// let config = Config::builder()
///     .idle_timeout(Duration::from_secs(60 * 60))
///     .absolute_lifetime(Duration::from_secs(24 * 60 * 60))
///     .max_sessions_per_user(5)
///     .build()?;
/// let sessions = Sessions::new(Memory::new(), config);
/// # Ok::<(), cloakroom::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) terms: Terms,
    /// True if there is no absolute lifetime. The one in `terms` is then as long as possible.
    pub(crate) is_endless: bool,
    pub(crate) token_format: TokenFormat,
    pub(crate) touch_interval: Option<Duration>,
    pub(crate) store_timeout: Duration,
    pub(crate) cookie: CookieSettings,
    pub(crate) bearer: BearerSettings,
    pub(crate) adoption: Option<Adoption>,
    pub(crate) rotate_every: Option<Duration>,
    pub(crate) max_sessions_per_user: usize,
    pub(crate) on_limit: OnLimit,
    pub(crate) on_replay: OnReplay,
    pub(crate) sign_in_page: Option<String>,
    pub(crate) sign_in_next: Option<String>,
    pub(crate) csrf: Csrf,
    pub(crate) trusted_origins: Vec<String>,
    pub(crate) hook: Option<Hook>,
}

/// Which requests are refused because they may come from another site. (ASVS 3.5.1)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "config-file", derive(serde::Deserialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Csrf {
    /// Refuses requests that the browser says come from another site, if their method is not GET, HEAD or OPTIONS, or if they open
    /// a WebSocket. The browser says so in the header `Sec-Fetch-Site`, or else in `Origin`. A request with neither header does not
    /// come from a browser, and passes. The default.
    #[default]
    On,
    /// As [`On`](Csrf::On), but refuses requests with neither header as well.
    Strict,
    /// Refuses nothing. Choose this only if another layer of your application refuses such requests.
    Off,
}

impl Config {
    /// Returns a builder with the default settings.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder {
            config: Config {
                terms: Terms::default(),
                is_endless: false,
                token_format: TokenFormat::Secret,
                touch_interval: None,
                store_timeout: Duration::from_secs(2),
                cookie: CookieSettings::default(),
                bearer: BearerSettings::default(),
                adoption: None,
                rotate_every: None,
                max_sessions_per_user: 100,
                on_limit: OnLimit::default(),
                on_replay: OnReplay::default(),
                sign_in_page: None,
                sign_in_next: None,
                csrf: Csrf::default(),
                trusted_origins: Vec::new(),
                hook: None,
            },
        }
    }

    /// Returns the settings that a store needs.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Returns what the browser carries.
    pub fn token_format(&self) -> TokenFormat {
        self.token_format
    }

    /// Returns the most sessions that one user may have at a time.
    pub fn max_sessions_per_user(&self) -> usize {
        self.max_sessions_per_user
    }

    fn check_sign_in(&self) -> Result<()> {
        if self.is_endless && self.token_format == TokenFormat::Secret {
            let reason = "is required, because only plain tokens allow `no_absolute_lifetime`: call `absolute_lifetime` with \
                          the time that a session may live";
            return Err(Error::config("absolute_lifetime", reason));
        }
        if let Some(interval) = self.rotate_every {
            check_lifetime("rotate_every", interval)?;
            if self.token_format == TokenFormat::Plain {
                let reason = "is not allowed with TokenFormat::Plain, because plain tokens cannot rotate";
                return Err(Error::config("rotate_every", reason));
            }
        }
        if !(1..=MAX_SESSIONS_PER_USER).contains(&self.max_sessions_per_user) {
            let reason = format!("must be from 1 to {MAX_SESSIONS_PER_USER}, not {}", self.max_sessions_per_user);
            return Err(Error::config("max_sessions_per_user", reason));
        }
        self.check_sign_in_page()?;
        for origin in &self.trusted_origins {
            if !is_origin(origin) {
                let reason = format!(
                    "must be given an origin as browsers send it, such as https://app.example.org, not `{origin}`: in lower \
                     case, without a default port, without a path, a user or a `*`. Origins are compared as a whole, so name \
                     each origin by itself"
                );
                return Err(Error::config("trust_origin", reason));
            }
        }
        Ok(())
    }

    fn check_sign_in_page(&self) -> Result<()> {
        let page = self.sign_in_page.as_deref();
        if page.is_some_and(|page| !is_local_path(page)) {
            let reason = "must be a path on this site, such as /sign-in: it begins with one /, contains no //, no backslash, no \
                          space and none of \"<>`, and has at most 2048 characters, all of them ASCII";
            return Err(Error::config("sign_in_page", reason));
        }
        let Some(name) = self.sign_in_next.as_deref() else {
            return Ok(());
        };
        if name.is_empty() || name.len() > 64 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        {
            return Err(Error::config("sign_in_next", "must have 1 to 64 letters, digits, `-` or `_`"));
        }
        let Some(page) = page else {
            return Err(Error::config("sign_in_next", "needs a sign_in_page: set that as well"));
        };
        let query = page.split('#').next().and_then(|page| page.split_once('?')).map_or("", |(_, query)| query);
        if query.split('&').any(|parameter| parameter.split('=').next() == Some(name)) {
            let reason =
                format!("must not be `{name}`, because the query of sign_in_page already has a parameter of this name");
            return Err(Error::config("sign_in_next", reason));
        }
        Ok(())
    }

    /// Returns how long a browser keeps the cookie of a session, or `None` if it keeps the cookie until it is closed.
    pub(crate) fn cookie_max_age(&self, record: &Record) -> Option<Duration> {
        record.cookie_max_age.or(self.cookie.max_age).filter(|age| !age.is_zero())
    }

    /// Returns after how much time a session gets a new secret by itself, or `None` if it does not. This is the configured interval,
    /// or a shorter one, so that the browser of a visitor who keeps coming does not drop the cookie.
    pub(crate) fn rotation_interval(&self, record: &Record) -> Option<Duration> {
        let renewal = self.cookie_max_age(record).filter(|_| record.secret_hash.is_some()).map(|age| age / 10);
        self.rotate_every.into_iter().chain(renewal).min()
    }

    /// Returns after how much time a session whose client keeps its token itself gets a new secret, or `None` if it does not,
    /// because nothing would hand the token over.
    pub(crate) fn bearer_rotation_interval(&self) -> Option<Duration> {
        self.rotate_every.filter(|_| self.bearer.token_header.is_some())
    }

    /// Returns how long after the last touch a request touches a session again. For a session whose own idle timeout is not above
    /// the configured interval it is a tenth of that idle timeout, or the session would end while it is in use.
    pub(crate) fn touch_interval(&self, idle_timeout: Duration) -> Duration {
        self.touch_interval.filter(|interval| *interval < idle_timeout).unwrap_or(idle_timeout / 10)
    }
}

impl Default for Config {
    fn default() -> Self {
        Config::builder().build().expect("the defaults do not contradict each other")
    }
}

/// Sets the settings of a [`Config`]. [`build`](ConfigBuilder::build) checks all of them together.
///
/// ```
/// use cloakroom::{Config, Csrf, OnLimit, SameSite};
/// use std::time::Duration;
///
/// const MINUTE: Duration = Duration::from_secs(60);
///
/// // a bank: short sessions, one device for each user, and a new secret every ten minutes
/// let config = Config::builder()
///     .idle_timeout(5 * MINUTE)
///     .absolute_lifetime(60 * MINUTE)
///     .max_sessions_per_user(1)
///     .on_limit(OnLimit::RefuseNew)
///     .rotate_every(10 * MINUTE)
///     .same_site(SameSite::Strict)
///     .csrf(Csrf::Strict)
///     .build()?;
///
/// // contradictions are found here, and not in production
/// let error = Config::builder().idle_timeout(60 * MINUTE).absolute_lifetime(5 * MINUTE).build().unwrap_err();
/// assert!(error.to_string().contains("idle_timeout must not exceed absolute_lifetime"));
/// # Ok::<(), cloakroom::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ConfigBuilder {
    config: Config,
}

/// Goes on from settings that were checked.
#[cfg(feature = "config-file")]
impl From<Config> for ConfigBuilder {
    fn from(config: Config) -> ConfigBuilder {
        ConfigBuilder { config }
    }
}

impl ConfigBuilder {
    /// Sets the idle timeout: how long a session lives after its last request, in whole seconds. Default: 30 minutes.
    /// (ASVS 7.3.1)
    pub fn idle_timeout(mut self, idle: Duration) -> Self {
        self.config.terms.idle_timeout = idle;
        self
    }

    /// Sets the absolute lifetime: how long a session lives regardless of activity, in whole seconds. Default: 12 hours.
    /// (ASVS 7.3.2)
    pub fn absolute_lifetime(mut self, absolute: Duration) -> Self {
        self.config.terms.absolute_lifetime = absolute;
        self.config.is_endless = false;
        self
    }

    /// Removes the absolute lifetime, so that a session lives for as long as requests come within the idle timeout.
    ///
    /// This is possible only with [plain tokens](TokenFormat::Plain), where another program that shares the sessions may keep one
    /// alive for longer than the absolute lifetime. Somebody who has stolen such a token can keep the session alive forever.
    pub fn no_absolute_lifetime(mut self) -> Self {
        self.config.terms.absolute_lifetime = Duration::from_secs(MAX_SECONDS);
        self.config.is_endless = true;
        self
    }

    /// Sets how much time passes between two extensions of a session. Requests in between read the session and write nothing.
    /// Default: a tenth of the session's idle timeout. With zero every request extends the session, as in the Redis tutorials.
    ///
    /// A session therefore ends at the latest one idle timeout after its last request, and at the earliest one idle timeout less the
    /// touch interval.
    pub fn touch_interval(mut self, interval: Duration) -> Self {
        self.config.touch_interval = Some(interval);
        self
    }

    /// Sets how long the previous secret is still accepted after the browser has first presented the new one, so that requests that
    /// run in parallel do not lose the session. Default: 10 seconds. The maximum is one hour.
    pub fn rotation_grace(mut self, grace: Duration) -> Self {
        self.config.terms.rotation_grace = grace;
        self
    }

    /// Sets the most fields that a session may have. Default: 128. The maximum is 1024.
    pub fn max_fields(mut self, fields: usize) -> Self {
        self.config.terms.max_fields = fields;
        self
    }

    /// Sets the most bytes that the names and values of a session's fields may have in total. Default: 64 KiB. The maximum is 16 MiB.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.config.terms.max_bytes = bytes;
        self
    }

    /// Sets how long a request waits for each answer of the store. Default: 2 seconds. The maximum is one hour.
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.config.store_timeout = timeout;
        self
    }

    /// Sets what the browser carries. Default: [`TokenFormat::Secret`].
    pub fn token_format(mut self, format: TokenFormat) -> Self {
        self.config.token_format = format;
        self
    }

    /// Sets the cookie's name. Default: `__Host-sid`.
    ///
    /// Browsers accept a name with the prefix `__Host-` only over TLS, from this very host and for all paths, so that no subdomain
    /// and no page in plain text can plant it. With the longer prefix `__Host-Http-`, newer browsers (Chromium since version 140)
    /// also refuse the cookie when a script sets it, so that a script that somebody has smuggled into a page cannot plant one
    /// either. To older browsers it is a `__Host-` cookie like any other. (RFC 6265bis, section 4.1.3)
    ///
    /// ```
    /// use cloakroom::Config;
    ///
    /// let config = Config::builder().cookie_name("__Host-Http-sid").build()?;
    /// # Ok::<(), cloakroom::Error>(())
    /// ```
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.config.cookie.name = name.into();
        self
    }

    /// Sets the cookie's `SameSite` attribute. Default: `Lax`.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.config.cookie.same_site = same_site;
        self
    }

    /// Sets the cookie's `Path` attribute. Default: `/`, which is the only path that a `__Host-` name allows.
    pub fn cookie_path(mut self, path: impl Into<String>) -> Self {
        self.config.cookie.path = path.into();
        self
    }

    /// Sets the cookie's `Domain` attribute, so that the browser sends the cookie to the subdomains of this domain as well. Default:
    /// no domain, which is what a `__Host-` name requires.
    ///
    /// ```
    /// use cloakroom::Config;
    ///
    /// // one session for www.example.org and shop.example.org
    /// let config = Config::builder().cookie_name("__Secure-sid").cookie_domain("example.org").build()?;
    /// # Ok::<(), cloakroom::Error>(())
    /// ```
    pub fn cookie_domain(mut self, domain: impl Into<String>) -> Self {
        self.config.cookie.domain = Some(domain.into());
        self
    }

    /// Gives the cookie the attribute `Partitioned`, for an application that other sites show in a frame: the browser then keeps a
    /// cookie for each of these sites, so that a visitor has one session in each, and none of them can be used to follow the
    /// visitor. Browsers that block other cookies in frames of other sites accept this one. Default: off. This is possible only with
    /// [`SameSite::None`]. (CHIPS, draft-cutler-httpbis-partitioned-cookies)
    ///
    /// ```
    /// use cloakroom::{Config, SameSite};
    ///
    /// let config = Config::builder().same_site(SameSite::None).cookie_partitioned().build()?;
    /// # Ok::<(), cloakroom::Error>(())
    /// ```
    pub fn cookie_partitioned(mut self) -> Self {
        self.config.cookie.partitioned = true;
        self
    }

    /// Lets the browser keep the cookie for this long, even when it is closed. Default: a session cookie without `Max-Age`. The
    /// server still decides when the session itself ends.
    ///
    /// The cookie is renewed while the visitor keeps coming: after a tenth of this time the session gets a new secret, as with
    /// [`rotate_every`](ConfigBuilder::rotate_every), and the browser gets a new cookie. Plain tokens cannot rotate, so their cookie
    /// is not renewed. A sign-in can choose another time for its session with
    /// [`SigningIn::cookie_max_age`](crate::SigningIn::cookie_max_age). The maximum is 400 days.
    pub fn cookie_max_age(mut self, age: Duration) -> Self {
        self.config.cookie.max_age = Some(age);
        self
    }

    /// Accepts a session's token in the header `Authorization: Bearer <token>` as well as in the cookie, for clients that are not
    /// browsers: mobile applications, command lines, other services. Default: off.
    ///
    /// A client gets its token from a handler, which takes it with [`Session::take_token`](crate::Session::take_token). A request
    /// with this header gets no cookie, and is not checked for where it comes from, because no other site can make a browser send
    /// it. A request that brings the cookie as well is refused with 400. [Bearer tokens](crate::guide::bearer) has everything
    /// about it. (RFC 6750)
    ///
    /// ```
    /// use cloakroom::Config;
    ///
    /// let config = Config::builder().bearer_tokens().build()?;
    /// # Ok::<(), cloakroom::Error>(())
    /// ```
    pub fn bearer_tokens(mut self) -> Self {
        self.config.bearer.is_on = true;
        self
    }

    /// Names the response header in which a client that uses [bearer tokens](ConfigBuilder::bearer_tokens) gets a new token. The
    /// client must use the new token from then on. Default: no header; then [`rotate_every`](ConfigBuilder::rotate_every) does
    /// not apply to requests with a bearer token.
    ///
    /// ```
    /// use cloakroom::Config;
    /// use std::time::Duration;
    ///
    /// let hour = Duration::from_secs(60 * 60);
    /// let config = Config::builder().bearer_tokens().bearer_token_header("x-session-token").rotate_every(hour).build()?;
    /// # Ok::<(), cloakroom::Error>(())
    /// ```
    pub fn bearer_token_header(mut self, name: impl Into<String>) -> Self {
        self.config.bearer.token_header = Some(name.into());
        self
    }

    /// Gives a session a new secret whenever the current one has been in use for this long. Default: a session gets a new secret only
    /// at a sign-in. A request that changes the session's own deadline leaves it to the next one. This is not possible with
    /// plain tokens. (ASVS 7.2.4)
    pub fn rotate_every(mut self, interval: Duration) -> Self {
        self.config.rotate_every = Some(interval);
        self
    }

    /// Sets the most sessions that one user may have at a time. Default: 100. The maximum is 1000. (ASVS 7.1.2)
    pub fn max_sessions_per_user(mut self, sessions: usize) -> Self {
        self.config.max_sessions_per_user = sessions;
        self
    }

    /// Sets what happens when a sign-in exceeds [`max_sessions_per_user`](ConfigBuilder::max_sessions_per_user). Default:
    /// [`OnLimit::EvictOldest`].
    pub fn on_limit(mut self, policy: OnLimit) -> Self {
        self.config.on_limit = policy;
        self
    }

    /// Sets what happens when a secret that was replaced is presented again. Default: [`OnReplay::Report`].
    pub fn on_replay(mut self, policy: OnReplay) -> Self {
        self.config.on_replay = policy;
        self
    }

    /// Sets the page to which [`SignedIn`](crate::SignedIn) redirects a person who is not signed in and asked for a page. Default:
    /// no page; the answer is 401. Requests that did not ask for a page always get 401. Only the extractors of axum use this
    /// setting.
    pub fn sign_in_page(mut self, path: impl Into<String>) -> Self {
        self.config.sign_in_page = Some(path.into());
        self
    }

    /// Tells the sign-in page where the visitor wanted to go, in a parameter with this name: `/sign-in?next=/orders%3Fpage%3D2`.
    /// Default: the sign-in page is not told.
    ///
    /// Pass the parameter through [`local_path`](crate::local_path) before you redirect to it, because anybody can write a link to
    /// your sign-in page with the address of another site in it.
    ///
    /// ```
    /// use cloakroom::Config;
    ///
    /// let config = Config::builder().sign_in_page("/sign-in").sign_in_next("next").build()?;
    /// # Ok::<(), cloakroom::Error>(())
    /// ```
    ///
    /// The path is the one that the session layer sees. Put the layer around the outermost router: a layer inside a nested router
    /// sees a path from which the outer router has removed its prefix.
    pub fn sign_in_next(mut self, parameter: impl Into<String>) -> Self {
        self.config.sign_in_next = Some(parameter.into());
        self
    }

    /// Sets which requests from other sites are refused. Default: [`Csrf::On`].
    pub fn csrf(mut self, csrf: Csrf) -> Self {
        self.config.csrf = csrf;
        self
    }

    /// Trusts an origin, such as `https://app.example.org`: requests that its pages send are not refused. The origin is compared as a
    /// whole, and there is no `*`, so call this once for each origin.
    pub fn trust_origin(mut self, origin: impl Into<String>) -> Self {
        self.config.trusted_origins.push(origin.into());
        self
    }

    /// Takes visitors over from the sessions that the application had before: a browser without a session here that brings the
    /// cookie of the former system gets a session with what the former one held, once. Nobody has to sign in again. See
    /// [`Adoption`] and [Coming from elsewhere](crate::guide::coming_from_elsewhere).
    pub fn adopt(mut self, adoption: Adoption) -> Self {
        self.config.adoption = Some(adoption);
        self
    }

    /// Calls a function for everything that happens to sessions: see [`Event`]. The function runs on a thread of its own, so no request
    /// waits for it.
    pub fn on_event(mut self, hook: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.config.hook = Some(Hook(Arc::new(hook)));
        self
    }

    /// Sets the lifetimes of NIST SP 800-63B-4 for assurance level 1: 30 days, regardless of activity.
    pub fn nist_aal1(self) -> Self {
        self.idle_timeout(30 * DAY).absolute_lifetime(30 * DAY)
    }

    /// Sets the lifetimes of NIST SP 800-63B-4 for assurance level 2: 24 hours, and one hour without a request.
    pub fn nist_aal2(self) -> Self {
        self.idle_timeout(HOUR).absolute_lifetime(DAY)
    }

    /// Sets the lifetimes of NIST SP 800-63B-4 for assurance level 3: 12 hours, and 15 minutes without a request.
    pub fn nist_aal3(self) -> Self {
        self.idle_timeout(15 * MINUTE).absolute_lifetime(12 * HOUR)
    }

    /// Allows plain http on localhost during development: the cookie is called `sid` and is not `Secure`. A warning in the log says
    /// so when the layer is made. Never use this for an application that others can reach.
    pub fn plain_http_for_development(mut self) -> Self {
        if self.config.cookie.name == cookie::DEFAULT_NAME {
            self.config.cookie.name = "sid".to_owned();
        }
        self.config.cookie.secure = false;
        self
    }

    /// Checks the settings and returns the configuration.
    ///
    /// # Errors
    /// Returns a [configuration error](Error::is_config) for the first setting that is not allowed or contradicts another one. The
    /// message names the setting and what is allowed.
    pub fn build(mut self) -> Result<Config> {
        let Terms { idle_timeout, absolute_lifetime, rotation_grace, max_fields, max_bytes } = self.config.terms;
        check_lifetime("idle_timeout", idle_timeout)?;
        check_lifetime("absolute_lifetime", absolute_lifetime)?;
        if idle_timeout > absolute_lifetime {
            let reason =
                format!("must not exceed absolute_lifetime: {idle_timeout:?} is more than {absolute_lifetime:?}");
            return Err(Error::config("idle_timeout", reason));
        }
        if self.config.touch_interval.is_some_and(|interval| interval >= idle_timeout) {
            return Err(Error::config(
                "touch_interval",
                format!("must be shorter than idle_timeout, which is {idle_timeout:?}"),
            ));
        }
        if rotation_grace > HOUR || rotation_grace.subsec_nanos() != 0 {
            let reason = format!("must be a whole number of seconds, at most an hour, not {rotation_grace:?}");
            return Err(Error::config("rotation_grace", reason));
        }
        if !(1..=1024).contains(&max_fields) {
            return Err(Error::config("max_fields", format!("must be from 1 to 1024, not {max_fields}")));
        }
        if !(1..=16 * 1024 * 1024).contains(&max_bytes) {
            let reason = format!("must be from 1 byte to 16 MiB (16777216 bytes), not {max_bytes}");
            return Err(Error::config("max_bytes", reason));
        }
        if self.config.store_timeout.is_zero() || self.config.store_timeout > HOUR {
            let reason = format!("must be above zero and at most an hour, not {:?}", self.config.store_timeout);
            return Err(Error::config("store_timeout", reason));
        }
        self.config.cookie.check()?;
        self.config.bearer.check()?;
        if let Some(adoption) = &mut self.config.adoption {
            adoption.check(&self.config.cookie, self.config.token_format)?;
        }
        self.config.check_sign_in()?;
        Ok(self.config)
    }
}

/// Checks that a lifetime is a whole number of seconds from 1 to [`MAX_SECONDS`].
pub(crate) fn check_lifetime(setting: &'static str, duration: Duration) -> Result<()> {
    match problem_with_lifetime(duration) {
        Some(reason) => Err(Error::config(setting, reason)),
        None => Ok(()),
    }
}
