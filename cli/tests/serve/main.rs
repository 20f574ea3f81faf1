//! The session service as an application in another language uses it: the real program over HTTP.

#[path = "../support/mod.rs"]
mod support;

mod description;
mod session;
