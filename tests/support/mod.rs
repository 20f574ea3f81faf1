//! What the tests share.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod redis_server;

pub use redis_server::RedisServer;
