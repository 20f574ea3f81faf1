//! Stories that were found once, and are told for ever.
