//! The demo as programs and people without a script use it: the real program over HTTP, on both stores.

#[path = "../support/mod.rs"]
mod support;

mod command_line;
mod outage;
mod page;
mod routes;
mod sharing;
mod stored;

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

        mod in_redis {
            $(#[test]
            fn $scenario() {
                let redis = $crate::support::redis_server::RedisServer::start();
                super::$scenario(&$crate::support::demo::Demo::on(&redis));
            })*
        }
    };
}
