//! Forward-auth: what proxies ask the service, and what an application behind a real proxy gets to see.

#[path = "../support/mod.rs"]
mod support;

mod application;
mod browser;
mod contract;
mod echo;
mod endpoints;
mod forged;
mod hanging;
mod logs;
mod outage;
mod page;
mod proxy;
mod site;
mod sockets;
mod traefik;
mod unix_socket;
