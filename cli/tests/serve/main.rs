//! The session service as an application in another language uses it: the real program over HTTP.

#[path = "../support/mod.rs"]
mod support;

mod administration;
mod changes;
mod configuration;
mod conformance;
mod cookies;
mod description;
mod devices;
mod guide;
mod near_cache;
mod problems;
mod secrets;
mod session;
mod sign_in;
mod values;
