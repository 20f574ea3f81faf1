//! The embedded store: what it keeps through restarts, kills and damage.

#[path = "../support/capture.rs"]
mod capture;
#[path = "../support/verbs.rs"]
mod verbs;

mod attached;
mod clock;
mod crashes;
mod damage;
#[cfg(unix)]
mod directory;
#[cfg(unix)]
mod full;
mod length;
mod looking;
mod missing;
mod model;
mod restored;
#[cfg(unix)]
mod waiting;
