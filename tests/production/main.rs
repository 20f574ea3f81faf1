//! Redis as it is run in production: cluster, sentinels, TLS, a unix socket, and what goes wrong with them.

#[path = "../support/mod.rs"]
mod support;

mod stores;
