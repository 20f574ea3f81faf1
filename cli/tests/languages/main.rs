//! The clients in `clients/`: small real applications in each language, in front of the real service, as a browser sees them.

#[path = "../support/mod.rs"]
mod support;

mod application;
mod behaviour;
mod browser;
mod guide;
mod outage;
mod together;
