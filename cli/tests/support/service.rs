//! The real program as a session service on a free port; killed when it is dropped.

use super::demo::{Demo, cloakroom};

/// Starts `cloakroom serve` with these flags.
pub fn service(flags: &[&str]) -> Demo {
    Demo::by(cloakroom(&[&["serve", "--listen", "127.0.0.1:0"], flags].concat()))
}
