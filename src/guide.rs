//! Explains how to use the library, one chapter after the other, and why it is as it is.
//!
//! These are the chapters in the order in which most readers need them.
//!
//! To write an application:
//!
//! 1. [Getting started](mod@getting_started): an application with sessions in five minutes.
//! 2. [Sessions](mod@sessions): fields, lifetimes, errors and the cookie.
//! 3. [Signing in](mod@sign_in): connect a session to a user, and protect routes.
//! 4. [Devices and signing out](mod@devices): show users where they are signed in, and end sessions.
//! 5. [CSRF](mod@csrf): refuse requests that other sites forge.
//! 6. [Posts from other sites](mod@cross_site): payment pages and identity providers.
//! 7. [Middleware and layers](mod@middleware): the order of layers, routes outside, background work.
//! 8. [Stores](mod@stores): where sessions can be kept, and how to write a store.
//! 9. [Testing](mod@testing): test an application through time, without a server.
//!
//! To run it:
//!
//! 1. [Going to production](mod@production): proxies, caches, changed settings, stopping.
//! 2. [One machine, no server](mod@embedded): the store in a directory.
//! 3. [Moving to Redis](mod@moving): take the sessions from one store to another.
//! 4. [Running on Redis](mod@redis): clusters, Sentinel, TLS, and what the server needs.
//! 5. [Near cache](mod@near_cache): read sessions without a round trip.
//! 6. [Sharing sessions with other programs](mod@sharing): the layout in Redis.
//! 7. [Operating](mod@operating): the program for operators.
//! 8. [Metrics and traces](mod@metrics): what is counted and logged.
//!
//! To know it well:
//!
//! 1. [What is guaranteed](mod@guarantees): on one server, and after a failover.
//! 2. [Performance](mod@performance): figures beside other session layers.
//! 3. [Design](mod@design): words, invariants, and the reasons for decisions.

#[cfg(all(feature = "axum", feature = "embedded"))]
#[doc = include_str!("../docs/getting-started.md")]
pub mod getting_started {}

#[doc = include_str!("../docs/sessions.md")]
pub mod sessions {}

#[cfg(feature = "axum")]
#[doc = include_str!("../docs/sign-in.md")]
pub mod sign_in {}

#[cfg(feature = "axum")]
#[doc = include_str!("../docs/devices.md")]
pub mod devices {}

#[cfg(feature = "axum")]
#[doc = include_str!("../docs/csrf.md")]
pub mod csrf {}

#[cfg(feature = "axum")]
#[doc = include_str!("../docs/cross-site.md")]
pub mod cross_site {}

#[cfg(feature = "axum")]
#[doc = include_str!("../docs/middleware.md")]
pub mod middleware {}

#[cfg(feature = "redis")]
#[doc = include_str!("../docs/stores.md")]
pub mod stores {}

#[cfg(feature = "axum")]
#[doc = include_str!("../docs/testing.md")]
pub mod testing {}

#[cfg(feature = "axum")]
#[doc = include_str!("../docs/production.md")]
pub mod production {}

#[cfg(feature = "embedded")]
#[doc = include_str!("../docs/embedded.md")]
pub mod embedded {}

#[cfg(feature = "embedded")]
#[doc = include_str!("../docs/moving.md")]
pub mod moving {}

#[cfg(feature = "tls")]
#[doc = include_str!("../docs/redis.md")]
pub mod redis {}

#[cfg(feature = "redis")]
#[doc = include_str!("../docs/near-cache.md")]
pub mod near_cache {}

#[doc = include_str!("../docs/sharing.md")]
pub mod sharing {}

#[doc = include_str!("../docs/operating.md")]
pub mod operating {}

#[cfg(feature = "metrics")]
#[doc = include_str!("../docs/metrics.md")]
pub mod metrics {}

#[cfg(feature = "redis")]
#[doc = include_str!("../docs/guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("../docs/performance.md")]
pub mod performance {}

#[doc = include_str!("../docs/design.md")]
pub mod design {}

#[cfg(all(doctest, feature = "axum", feature = "embedded"))]
#[doc = include_str!("../README.md")]
struct Readme;
