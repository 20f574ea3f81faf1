//! What must hold whatever the program reads: for the fuzzer (`fuzz/`), and on the inputs that it has kept for the tests.
//!
//! Each function takes anything, and panics where something does not hold.

#[cfg(test)]
#[path = "../../src/fuzzing/corpus.rs"]
mod corpus;
mod json;
mod lines;

pub use self::json::json;
pub use self::lines::lines;
pub use crate::demo::fuzzing::forms;

#[cfg(test)]
corpus::hold_on_the_corpus! { forms json lines }
