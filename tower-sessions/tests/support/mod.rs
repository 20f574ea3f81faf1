//! What the tests of this crate share: each scenario runs on each store.
#![allow(dead_code, missing_docs, unreachable_pub)]

use cloakroom::store::{Embedded, Memory, Redis};
use cloakroom_tower_sessions::CloakroomStore;

#[path = "../../../tests/support/redis_server.rs"]
pub mod redis_server;

pub use redis_server::RedisServer;

/// Mounts scenarios on each store. A scenario gets the store, and may keep it for as long as it runs.
#[macro_export]
macro_rules! on_each_store {
    ($($scenario:ident,)*) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario($crate::support::in_memory()).await;
            })*
        }

        mod in_a_directory {
            $(#[tokio::test]
            async fn $scenario() {
                let directory = tempfile::tempdir().unwrap();
                super::$scenario($crate::support::in_directory(&directory)).await;
            })*
        }

        mod in_redis {
            $(#[tokio::test]
            async fn $scenario() {
                let server = $crate::support::RedisServer::start();
                super::$scenario($crate::support::in_redis(&server).await).await;
                assert_eq!(server.immortal_keys(), Vec::<String>::new());
            })*
        }
    };
}

pub fn in_memory() -> CloakroomStore<Memory> {
    CloakroomStore::new(Memory::new())
}

pub fn in_directory(directory: &tempfile::TempDir) -> CloakroomStore<Embedded> {
    CloakroomStore::new(Embedded::open(directory.path()).unwrap())
}

pub async fn in_redis(server: &RedisServer) -> CloakroomStore<Redis> {
    CloakroomStore::new(Redis::builder(server.url()).connect().await.unwrap())
}
