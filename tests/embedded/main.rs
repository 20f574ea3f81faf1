//! The embedded store: what it keeps through restarts, kills and damage.

#[path = "../support/verbs.rs"]
mod verbs;

mod attached;
mod clock;
mod crashes;
mod damage;
#[cfg(unix)]
mod full;
mod model;
mod restored;
