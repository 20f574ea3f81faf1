//! Live migrations from other session systems: the former application and the new one are real, and side by side on one Redis.
//! What is promised of every former system is in `tests/adoption.rs`.

mod actix_session;
mod express;
mod process;
mod redis_tutorial;
mod site;
mod tower_sessions;

#[path = "../support/redis_server.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod redis_server;
