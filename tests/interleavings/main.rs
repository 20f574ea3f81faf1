//! Interleavings: short programs of two or three clients, in every order in which their steps can happen.
//!
//! In memory, where a step is a verb of the store, all orders are run; on a real Redis, where it is a command, a sample.
//! After each step everything that the store holds is compared with what was seen before (`support/watcher.rs`).

#[path = "../support/mod.rs"]
mod support;

mod in_memory;
mod on_redis;
mod programs;
