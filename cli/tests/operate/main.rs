//! The operators' verbs, as a shell and a script see them.

#[path = "../support/mod.rs"]
mod support;

mod command_line;
mod directory;
mod doctor;
mod lines;
mod list;
mod many;
mod moving;
mod other_users;
mod places;
mod printable;
mod revoke;
mod rights;
mod show;
mod stats;
mod terminal;
mod watch;
