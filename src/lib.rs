#![doc = include_str!("../docs/intro.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// in the order in which a request flows; but `session` first, because rustdoc shows the methods of `Session` in this order
mod session;
pub mod web;
mod cookie;
mod csrf;
mod sessions;
mod record;
mod local_path;
mod origin;
mod config;
mod clock;
mod events;
mod meter;
mod error;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod store;
#[cfg(feature = "conformance")]
pub mod conformance;

pub mod guide;
#[cfg(all(unix, any(test, fuzzing), feature = "embedded", feature = "redis"))]
#[doc(hidden)]
pub mod fuzzing;

pub use crate::clock::Clock;
pub use crate::config::{Config, ConfigBuilder, Csrf};
pub use crate::cookie::SameSite;
pub use crate::csrf::CSRF_HEADER;
pub use crate::error::{Error, Result};
pub use crate::events::{Event, RevokeReason};
pub use crate::local_path::local_path;
pub use crate::record::{
    Device, Field, MAX_LABEL_BYTES, MAX_NAME_BYTES, MAX_USER_ID_BYTES, OnLimit, OnReplay, Page, SessionId, TokenFormat,
    UserId,
};
pub use crate::session::{Ended, Session, SigningIn};
pub use crate::sessions::Sessions;
#[cfg(feature = "axum")]
pub use crate::web::axum::{Fresh, RecentSignIn, SignedIn};
#[cfg(feature = "axum")]
pub use crate::web::rejection::SignInRejection;
#[cfg(feature = "tower")]
pub use crate::web::respond::RequestHead;
#[cfg(feature = "tower")]
pub use crate::web::tower::SessionLayer;
