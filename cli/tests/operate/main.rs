//! The operators' verbs, as a shell and a script see them.

#[path = "../support/mod.rs"]
mod support;

mod command_line;
mod directory;
mod doctor;
mod list;
mod many;
mod places;
mod revoke;
mod rights;
mod show;
mod stats;
mod terminal;
mod watch;
