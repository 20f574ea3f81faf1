//! What the processes tell the conductor, a line of JSON each.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Told {
    /// The session was accepted, and is kept near.
    Ready,
    /// A read was refused for the first time at this nanosecond of the clock that all processes share; `None` is never.
    Refused(Option<i64>),
    /// So many changes were made.
    Written(u64),
}
