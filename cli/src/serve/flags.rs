//! The flags of the service.

use clap::Args;

use crate::store_flags::StoreFlags;

#[derive(Args)]
pub(crate) struct Flags {
    /// The address to listen on: HOST:PORT, or unix:PATH for a socket in the file system. Repeat the flag for more addresses
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    pub(crate) listen: Vec<String>,

    /// Ask Redis for every session, instead of keeping the sessions that were just read in this process
    #[arg(long)]
    pub(crate) no_near_cache: bool,

    #[command(flatten)]
    pub(crate) store: StoreFlags,
}
