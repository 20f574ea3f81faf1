//! The flags of the service.

use std::path::PathBuf;

use clap::Args;

use super::auth;
use super::listen::Address;
use super::service::BODY_TIMEOUT;
use crate::log::LogFormat;
use crate::store_flags::StoreFlags;

#[derive(Args)]
pub(crate) struct Flags {
    /// The address to listen on: an IP address and a port, or unix:/PATH for a socket in the file system. Repeat the flag for more
    /// addresses
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    pub(crate) listen: Vec<Address>,

    /// An address for administrators and for metrics, which are then answered on no other one. Repeat the flag for more addresses
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin_listen: Vec<Address>,

    /// The file with the API keys, which `cloakroom key` writes. It is read again at a SIGHUP [default: none is needed, which is allowed
    /// on loopback addresses and Unix sockets only]
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,

    /// Give everybody who can connect all rights, also on addresses that other machines can reach
    #[arg(long, conflicts_with = "keys")]
    pub(crate) without_keys: bool,

    /// The most connections of one address. Others wait until one of these is closed
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = connections)]
    pub(crate) max_connections: usize,

    /// How long a connection may wait for the whole head of its next request. Proxies should close their idle connections earlier
    #[arg(long, value_name = "SECONDS", default_value_t = 150, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) keep_alive: u64,

    /// How long the body of a request may take
    #[arg(long, value_name = "SECONDS", default_value_t = BODY_TIMEOUT, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) body_timeout: u64,

    /// How the log on stderr is written. RUST_LOG=info adds a line for each request
    #[arg(long, value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,

    /// Ask Redis for every session, instead of keeping the sessions that were just read in this process
    #[arg(long)]
    pub(crate) no_near_cache: bool,

    /// Print the description of the API (OpenAPI 3.1) and end
    #[arg(long)]
    pub(crate) print_openapi: bool,

    #[command(flatten)]
    pub(crate) auth: auth::AuthFlags,

    #[command(flatten)]
    pub(crate) store: StoreFlags,
}

impl Flags {
    /// Whether sessions that were just read are kept: unless a flag or the configuration file says that they are not.
    pub(crate) fn has_near_cache(&self) -> bool {
        let in_file = self.store.redis.config.as_ref().and_then(|file| file.store().near_cache);
        !self.no_near_cache && in_file != Some(false)
    }

    /// Whether a change in a directory is answered only when the disk has it.
    pub(crate) fn waits_for_disk(&self) -> bool {
        self.store.redis.config.as_ref().is_some_and(|file| file.store().wait_for_disk)
    }
}

fn connections(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=1_000_000) => Ok(number),
        _ => Err("give a number from 1 to 1,000,000".to_owned()),
    }
}
