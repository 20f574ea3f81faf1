//! What must hold of the embedded store's files and its socket, whatever stands in them.

mod damage;
mod journal;
mod questions;
mod reopening;
mod seals;
mod states;

pub use journal::journal;
pub use questions::questions;
pub use reopening::reopening;
pub use seals::seals;
pub(crate) use states::keep;
pub use states::states;
