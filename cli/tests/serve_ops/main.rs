//! The session service, as its operators and its callers see it, the bad ones included.

#[path = "../support/mod.rs"]
mod support;

mod bad_callers;
mod caller;
mod crowds;
mod deployment;
mod honest;
mod keys;
mod listeners;
mod operators;
mod requests;
mod secrets;
