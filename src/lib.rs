#![doc = include_str!("../docs/intro.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// in the order in which a request flows
mod clock;
mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
mod cookie;
mod delta;
mod error;
mod field;
mod record;
mod session;
mod sessions;
pub mod guide;
pub mod store;
mod token;
mod value;
mod web;

pub use crate::clock::Clock;
pub use crate::config::{Config, ConfigBuilder, Terms};
pub use crate::cookie::SameSite;
pub use crate::delta::{Change, Delta};
pub use crate::error::{Error, Result, StoreError};
pub use crate::field::{Field, MAX_NAME_BYTES};
pub use crate::record::{Fields, Previous, Record, Refusal};
pub use crate::session::Session;
pub use crate::sessions::Sessions;
pub use crate::token::{Presented, SecretHash, SessionId, TokenFormat};
pub use crate::web::{Finish, Visit};
#[cfg(feature = "tower")]
pub use crate::web::{SessionFuture, SessionLayer, SessionService};
