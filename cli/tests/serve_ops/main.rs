//! The session service, as its operators and its callers see it, the bad ones included.

#[path = "../support/mod.rs"]
mod support;

mod caller;
mod keys;
