//! The demo as programs and people without a script use it: the real program over HTTP, on both stores.

#[path = "../support/mod.rs"]
mod support;

mod command_line;
mod names;
mod outage;
mod page;
mod randomness;
mod routes;
mod sharing;
mod stored;
