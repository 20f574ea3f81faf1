//! What the tests of the program share: the program itself, a visitor with and without a browser, and a Redis.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::time::{Duration, Instant};

pub mod accounts;
pub mod browser;
pub mod demo;
pub mod operator;
pub mod served;
pub mod service;
pub mod terminal;
pub mod visitor;
pub mod webdriver;

#[path = "../../../tests/support/cluster.rs"]
pub mod cluster;
#[path = "../../../tests/support/gate.rs"]
pub mod gate;
#[path = "../../../tests/support/network.rs"]
pub mod network;
#[path = "../../../tests/support/redis_server.rs"]
pub mod redis_server;
#[path = "../../../tests/support/sentinels.rs"]
pub mod sentinels;
#[path = "../../../tests/support/tls.rs"]
pub mod tls;

pub use network::Network;
pub use redis_server::RedisServer;

/// Mounts the scenarios once for each store. A scenario gets the running demo.
#[macro_export]
macro_rules! on_each_store {
    ($($scenario:ident,)*) => {
        mod in_memory {
            $(#[test]
            fn $scenario() {
                super::$scenario(&$crate::support::demo::Demo::in_memory());
            })*
        }

        mod in_a_directory {
            $(#[test]
            fn $scenario() {
                super::$scenario(&$crate::support::demo::Demo::start(&[]));
            })*
        }

        mod in_redis {
            $(#[test]
            fn $scenario() {
                let redis = $crate::support::redis_server::RedisServer::start();
                super::$scenario(&$crate::support::demo::Demo::on(&redis));
            })*
        }
    };
}

/// How long a test waits for what must happen at some time. It is only there so that a test ends.
const PATIENCE: Duration = Duration::from_secs(40);

/// What `look` finds, as soon as it finds something; `what` is said when it never does.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually_or(look, || what.to_owned())
}

/// The same, when what is said depends on what was seen last.
pub fn eventually_or<T>(mut look: impl FnMut() -> Option<T>, what: impl Fn() -> String) -> T {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    panic!("waited {PATIENCE:?} for this in vain: {}", what());
}
