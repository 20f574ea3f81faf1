//! What must hold of what Redis answers, and of the URLs by which it is reached.

mod answers;
mod urls;

pub use answers::answers;
pub use urls::urls;
