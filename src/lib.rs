#![doc = include_str!("../docs/intro.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// in the order in which a request flows
mod web;
mod cookie;
mod csrf;
mod token;
mod sessions;
mod session;
mod field;
mod fields;
mod value;
mod user;
mod device;
mod delta;
mod record;
mod policy;
mod local_path;
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

pub use crate::clock::Clock;
pub use crate::config::{Config, ConfigBuilder, Csrf, Terms};
pub use crate::cookie::SameSite;
pub use crate::csrf::CSRF_HEADER;
pub use crate::delta::{Change, FieldChanges, IndexEntry, SignIn};
pub use crate::device::{Device, MAX_LABEL_BYTES, Page};
pub use crate::error::{Error, Result, StoreError};
pub use crate::events::{Event, RevokeReason};
pub use crate::field::{Field, MAX_NAME_BYTES};
pub use crate::fields::Fields;
pub use crate::local_path::local_path;
pub use crate::policy::{OnLimit, OnReplay};
pub use crate::record::{Previous, Record, Refusal, reserved_fields};
pub use crate::session::{Ended, Session, SigningIn};
pub use crate::sessions::Sessions;
pub use crate::token::{Credentials, SecretHash, SessionId, TokenFormat};
pub use crate::user::{MAX_USER_ID_BYTES, UserId};
#[cfg(feature = "tower")]
pub use crate::web::{ErrorResponses, OnError, PlainErrors, RequestHead, SessionFuture, SessionLayer, SessionService};
pub use crate::web::{FailedCommit, OngoingVisit, ResponseChanges, Visit};
#[cfg(feature = "axum")]
pub use crate::web::{Fresh, RecentSignIn, SignInRejection, SignedIn};
