//! Forward-auth: what proxies ask the service, and what an application behind a real proxy gets to see.

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code)]
mod browser;
mod endpoints;
#[allow(dead_code)]
mod site;
