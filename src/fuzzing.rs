//! What must hold whatever is read: for the fuzzer (`fuzz/`), and on the inputs that it has kept for the tests.
//!
//! Each function takes anything, and panics where something does not hold.

mod cookies;
#[cfg(test)]
mod corpus;
mod fields;
mod origins;
mod paths;
mod records;
mod saved;
mod tokens;
mod values;

pub use self::cookies::cookies;
pub use self::fields::fields;
pub use self::origins::origins;
pub use self::paths::paths;
pub use self::records::records;
pub(crate) use self::records::use_it as use_record;
pub use self::saved::saved;
pub use self::tokens::tokens;
pub use self::values::values;
pub use crate::store::embedded::fuzzing::{journal, questions, reopening, seals, states};
pub use crate::store::redis::fuzzing::{answers, urls};

#[cfg(test)]
corpus::hold_on_the_corpus! {
    answers cookies fields journal origins paths questions records reopening saved seals states tokens urls values
}
