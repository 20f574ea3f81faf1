//! For tests of an application that uses sessions: signs a test user in, moves the clock, and lists what happened.
//!
//! ```
//! # #[cfg(feature = "axum")]
//! # mod example {
//! use axum::{Router, routing::get};
//! use cloakroom::{Error, SignedIn, testing::TestSessions};
//! use std::time::Duration;
//!
//! # #[tokio::main]
//! # pub async fn test() -> Result<(), Error> {
//! let test = TestSessions::new();
//! let account = get(async |who: SignedIn| format!("the account of {}", who.user));
//! let app: Router = Router::new().route("/account", account).layer(test.sessions().layer());
//!
//! let mut ada = test.signed_in("ada").await?;
//! assert_eq!(ada.get(&app, "/account").await.status(), 200);
//! test.advance(Duration::from_secs(31 * 60)); // the idle timeout is 30 minutes
//! assert_eq!(ada.get(&app, "/account").await.status(), 401);
//! # Ok(())
//! # }
//! # }
//! # #[cfg(feature = "axum")]
//! # example::test().unwrap();
//! ```
//!
//! [Testing your application](mod@crate::guide::testing) shows more.

mod browser;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

pub use browser::Browser;
use http::HeaderValue;

use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::events::{Event, Events};
use crate::record::UserId;
use crate::sessions::Sessions;
use crate::store::Memory;

/// Sessions in memory whose clock a test moves, and the events that they have caused.
///
/// To test with another store, such as a Redis, make [`Sessions`] as usual and give them to [`Browser::new`].
#[derive(Debug)]
pub struct TestSessions {
    sessions: Sessions,
    clock: Clock,
    events: Arc<Mutex<Vec<Event>>>,
}

impl TestSessions {
    /// Creates sessions with the default configuration.
    pub fn new() -> TestSessions {
        TestSessions::with_config(Config::default())
    }

    /// Creates sessions with this configuration. Use that of production: nothing looks at TLS here, so cookies that need
    /// https work as well.
    pub fn with_config(config: Config) -> TestSessions {
        let clock = Clock::manual(SystemTime::now());
        let happened = Arc::default();
        let events = Events::new(config.hook.as_ref()).noted_in(Arc::clone(&happened));
        let sessions = Sessions::with_events(Memory::with_clock(clock.clone()), config, events);
        TestSessions { sessions, clock, events: happened }
    }

    /// Returns the manager of these sessions, from which the application makes its layer.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Lets this time pass, by whole milliseconds.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Returns what happened to sessions since the last call, the oldest event first.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cloakroom::Error> {
    /// use cloakroom::{Event, testing::TestSessions};
    ///
    /// let test = TestSessions::new();
    /// test.signed_in("ada").await?;
    /// let events = test.take_events();
    /// assert!(matches!(&events[..], [Event::Created { .. }, Event::SignedIn { .. }]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the browser of a visitor without a session.
    pub fn browser(&self) -> Browser {
        Browser::new(&self.sessions)
    }

    /// Returns the browser of a user who has just signed in.
    ///
    /// # Errors
    /// Returns the errors of [`Session::sign_in`](crate::Session::sign_in).
    pub async fn signed_in<U>(&self, user: U) -> Result<Browser>
    where
        U: TryInto<UserId>,
        Error: From<U::Error>,
    {
        let mut browser = self.browser();
        browser.with_session(async |session| session.sign_in(user).await).await?;
        Ok(browser)
    }

    /// Returns the header `Authorization` of a client of a user who has just signed in, for an application with
    /// [bearer tokens](crate::ConfigBuilder::bearer_tokens).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cloakroom::Error> {
    /// use cloakroom::{Config, testing::TestSessions};
    ///
    /// let test = TestSessions::with_config(Config::builder().bearer_tokens().build()?);
    /// let authorization = test.bearer("ada").await?;
    /// let request = http::Request::get("/account").header("authorization", authorization);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`Session::sign_in`](crate::Session::sign_in).
    pub async fn bearer<U>(&self, user: U) -> Result<HeaderValue>
    where
        U: TryInto<UserId>,
        Error: From<U::Error>,
    {
        let (token, _) = self.sessions.create().sign_in(user).await?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose())).expect("tokens are ASCII");
        value.set_sensitive(true);
        Ok(value)
    }
}

impl Default for TestSessions {
    fn default() -> Self {
        TestSessions::new()
    }
}
