//! Server-side web sessions: the browser carries one opaque token, and everything else stays on the server, in a local
//! directory, or in Redis or Valkey for several machines.
//!
//! ```
//! use axum::{Router, routing::get};
//! use cloakroom::{Config, Error, Field, Session, Sessions, store::Memory};
//!
//! const NAME: Field<String> = Field::new("name");
//! const VIEWS: Field<i64> = Field::new("page_views");
//!
//! async fn hello(session: Session) -> Result<String, Error> {
//!     let views = session.increment(VIEWS, 1).await?; // stored immediately, and exact however many requests count
//!     if session.get(NAME)?.is_none() {
//!         session.set(NAME, "Guest")?; // stored together with everything else, before the response is sent
//!     }
//!     Ok(format!("You have been here {views} times."))
//! }
//!
//! let sessions = Sessions::new(Memory::new(), Config::default());
//! let app: Router = Router::new().route("/", get(hello)).layer(sessions.layer());
//! ```
//!
//! **New here?** [Getting started](guide::getting_started) takes five minutes, over plain http. The [guide](mod@guide) has
//! everything else in the order in which one needs it:
//!
//! - To write an application: [sessions and fields](guide::sessions), [signing in](guide::sign_in),
//!   [devices](guide::devices), [CSRF](guide::csrf), [testing](guide::testing).
//! - To run it: [choosing a store](guide::choosing_a_store), [going to production](guide::production),
//!   [operating](guide::operating).
//! - To connect something else: [other frameworks](guide::other_frameworks), [writing a store](guide::writing_a_store),
//!   [writing an adapter](guide::writing_an_adapter).
//! - To know it well: [what is guaranteed](guide::guarantees), [performance](guide::performance), [design](guide::design).
//!
//! # Where things are
//!
//! - [`Session`] is the session of one request. A handler takes it, and reads and writes its [`Field`]s.
//! - [`SignedIn`] and [`RecentSignIn`] are taken by handlers for people who are signed in.
//! - [`Sessions`] is the manager of an application, made of a store and a [`Config`].
//! - [`store`] has the stores, and the contract for a store of your own.
//! - [`web`] is for authors of adapters for other web frameworks.
//!
//! # Features
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `axum` (default) | the extractors for axum; includes `tower` |
//! | `actix` | the middleware and the extractors for actix-web |
//! | `tower` | the layer, for any framework that is made of tower services |
//! | `embedded` | the store in one directory of this machine, without a server |
//! | `redis` | the store in Redis or Valkey |
//! | `tls` | TLS to Redis or Valkey (rustls) |
//! | `config-file` | the configuration in a file, which the program `cloakroom` reads as well |
//! | `metrics` | counters and latencies through the `metrics` facade |
//! | `testing` | a test user who is signed in, a clock to move, and the list of what happened, for tests of an application |
//! | `conformance` | the conformance kit that every store must pass, for authors of stores |
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// in the order in which a request flows; but `session` first, because rustdoc shows the methods of `Session` in this order
mod session;
pub mod web;
mod cookie;
mod adoption;
mod bearer;
mod credential;
mod csrf;
mod headers;
mod sessions;
mod record;
mod local_path;
mod origin;
mod config;
#[cfg(feature = "config-file")]
mod config_file;
mod clock;
mod events;
mod meter;
mod error;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod store;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "testing")]
pub mod testing;

pub mod guide;
#[cfg(all(unix, any(test, fuzzing), feature = "embedded", feature = "redis"))]
#[doc(hidden)]
pub mod fuzzing;

pub use crate::adoption::{Adoption, BoxError, FormerSession, FormerSessions};
pub use crate::clock::Clock;
pub use crate::config::{Config, ConfigBuilder, Csrf};
#[cfg(feature = "config-file")]
pub use crate::config_file::{ConfigFile, StoreSettings};
pub use crate::cookie::SameSite;
pub use crate::csrf::CSRF_HEADER;
pub use crate::error::{Error, Result};
pub use crate::events::{Event, RevokeReason};
pub use crate::local_path::local_path;
pub use crate::record::{
    Device, Field, MAX_LABEL_BYTES, MAX_NAME_BYTES, MAX_USER_ID_BYTES, OnLimit, OnReplay, Page, SessionId, Token,
    TokenFormat, UserId,
};
pub use crate::session::{Batch, Creating, Ended, LiveSession, Session, SigningIn};
pub use crate::sessions::Sessions;
pub use crate::web::extract::{Fresh, RecentSignIn, SignedIn};
#[cfg(any(feature = "tower", feature = "actix"))]
pub use crate::web::layer::SessionLayer;
pub use crate::web::rejection::SignInRejection;
pub use crate::web::respond::RequestHead;
