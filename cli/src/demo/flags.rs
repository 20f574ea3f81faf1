//! The flags of the demo, and which of them contradict each other.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use cloakroom::{Config, ConfigBuilder};

use crate::demo::names::host_name;
use crate::failure::Failure;
use crate::store_flags::StoreFlags;

/// How long a session lives without a request, in seconds, where nobody says otherwise: one can wait for it.
const DEFAULT_TTL: u64 = 60;

/// The most seconds that the library takes for any lifetime.
const MOST_SECONDS: u64 = 999_999_999;

#[derive(Args)]
pub(crate) struct Flags {
    /// The address to listen on. The demo speaks plain http, so use an address of this machine only
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub(crate) host: String,

    /// The port to listen on; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub(crate) port: u16,

    /// Another name of this machine to which the demo answers. Repeat the flag for more names [default: localhost, the machine's
    /// addresses, and the name in --host]
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    pub(crate) allowed_host: Vec<String>,

    /// How long a session lives without a request, if the form does not say [default: 60, or the absolute lifetime if that is shorter]
    #[arg(long, visible_alias = "ttl", value_name = "SECONDS", value_parser = seconds())]
    idle_timeout: Option<u64>,

    /// How long a session lives, regardless of activity
    #[arg(long, value_name = "SECONDS", default_value_t = 12 * 60 * 60, value_parser = seconds())]
    absolute_lifetime: u64,

    /// Give a session a new secret when the current one has been in use for this long [default: only at a sign-in]
    #[arg(long, value_name = "SECONDS", value_parser = seconds(), conflicts_with = "plain_tokens")]
    rotate_every: Option<u64>,

    /// The most sessions of one user. The next sign-in ends the oldest session
    #[arg(long, value_name = "N", default_value_t = 3, conflicts_with = "plain_tokens")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1000))]
    max_sessions_per_user: u64,

    /// Also answer other programs of this machine, as `cloakroom serve` does, so that they see the same sessions. They need no key
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) service: Option<SocketAddr>,

    #[command(flatten)]
    pub(crate) store: StoreFlags,
}

fn seconds() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=MOST_SECONDS)
}

/// The numbers that the demo shows and checks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The TTL of a session whose form does not say, in seconds.
    pub(crate) default_ttl: u64,
    /// The longest TTL that a session may have, in seconds: the absolute lifetime.
    pub(crate) longest_ttl: u64,
    /// In how many places a user may be signed in.
    pub(crate) most_places: u64,
}

impl Flags {
    /// The numbers, and a configuration with them.
    ///
    /// # Errors
    /// Flags that contradict each other.
    pub(crate) fn limits(&self) -> Result<(Limits, ConfigBuilder), Failure> {
        let longest = self.absolute_lifetime;
        for (flag, seconds) in [("--idle-timeout (or --ttl)", self.idle_timeout), ("--rotate-every", self.rotate_every)]
        {
            if let Some(seconds) = seconds.filter(|seconds| *seconds > longest) {
                let limit = format!("at most --absolute-lifetime, {longest} seconds, not {seconds}");
                return Err(Failure::usage(format!("{flag} must be {limit}")));
            }
        }
        let defaults = Config::default();
        let idle = self.idle_timeout.map_or(defaults.terms().idle_timeout, Duration::from_secs);
        let absolute = Duration::from_secs(longest);
        let config = Config::builder()
            .plain_http_for_development()
            .token_format(self.store.redis.token_format())
            .idle_timeout(idle.min(absolute))
            .absolute_lifetime(absolute)
            .max_sessions_per_user(self.max_sessions_per_user.try_into().unwrap_or(usize::MAX));
        let config = match self.rotate_every {
            Some(interval) => config.rotate_every(Duration::from_secs(interval)),
            None => config,
        };
        let default_ttl = self.idle_timeout.unwrap_or(DEFAULT_TTL).min(longest);
        Ok((Limits { default_ttl, longest_ttl: longest, most_places: self.max_sessions_per_user }, config))
    }
}
