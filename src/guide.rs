//! How to use it, and why it is as it is.

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

#[cfg(feature = "axum")]
#[doc = include_str!("../docs/production.md")]
pub mod production {}

#[cfg(feature = "redis")]
#[doc = include_str!("../docs/stores.md")]
pub mod stores {}

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
#[doc = include_str!("../docs/guarantees.md")]
pub mod guarantees {}

#[cfg(feature = "redis")]
#[doc = include_str!("../docs/near-cache.md")]
pub mod near_cache {}

#[doc = include_str!("../docs/operating.md")]
pub mod operating {}

#[cfg(feature = "metrics")]
#[doc = include_str!("../docs/metrics.md")]
pub mod metrics {}

#[doc = include_str!("../docs/sharing.md")]
pub mod sharing {}

#[doc = include_str!("../docs/design.md")]
pub mod design {}

#[cfg(all(doctest, feature = "axum", feature = "embedded"))]
#[doc = include_str!("../README.md")]
struct Readme;
