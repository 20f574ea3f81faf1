#![doc = include_str!("../docs/intro.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// in the order in which a request flows; but `session` first, because rustdoc shows the methods of `Session` in this order
mod session;
mod web;
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
pub use crate::error::{Error, Result, StoreError};
pub use crate::events::{Event, RevokeReason};
pub use crate::local_path::local_path;
pub use crate::record::{
    Change, Credentials, Device, Field, FieldChanges, Fields, IndexEntry, MAX_LABEL_BYTES, MAX_NAME_BYTES,
    MAX_USER_ID_BYTES, OnLimit, OnReplay, Page, Previous, Record, Refusal, SecretHash, SessionId, SignIn, Terms,
    TokenFormat, UserId, reserved_fields,
};
pub use crate::session::{Ended, Session, SigningIn};
pub use crate::sessions::Sessions;
#[cfg(feature = "tower")]
pub use crate::web::{ErrorResponses, OnError, PlainErrors, RequestHead, SessionFuture, SessionLayer, SessionService};
pub use crate::web::{FailedCommit, OngoingVisit, ResponseChanges, Visit};
#[cfg(feature = "axum")]
pub use crate::web::{Fresh, RecentSignIn, SignInRejection, SignedIn};
