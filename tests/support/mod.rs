//! What the tests share.
#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

pub mod browser;
pub mod capture;
pub mod cluster;
pub mod fake_server;
pub mod faults;
pub mod gate;
pub mod network;
pub mod numbers;
pub mod on_actix;
pub mod on_axum;
pub mod place;
pub mod redis_server;
pub mod sentinels;
pub mod server_clock;
pub mod tls;
pub mod watched;
pub mod watcher;
pub mod wire;

pub use browser::{Answer, Browser};
pub use capture::Capture;
pub use cluster::RedisCluster;
pub use fake_server::{FakeServer, Said};
pub use faults::{FaultProxy, Trouble};
pub use gate::{Cut, Gate};
pub use network::Network;
pub use numbers::Numbers;
pub use place::{Place, on_each_store};
pub use redis_server::RedisServer;
pub use sentinels::Sentinels;
pub use server_clock::ServerClock;
pub use tls::Certificates;
pub use watched::{Fault, Watched};
pub use watcher::{Scene, Seen, Watcher};
