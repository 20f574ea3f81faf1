//! The flags that say how to reach Redis, and how sessions are stored in it. Every verb has these, whichever flag names the
//! server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use cloakroom::store::{Redis, RedisBuilder};
use cloakroom::{ConfigFile, StoreSettings, TokenFormat};
use url::Url;

use crate::failure::Failure;
use crate::place::{Reach, has_password, is_tls, user};

/// How to reach Redis, and how sessions are stored in it. Not `Debug`, because a URL may contain a password.
#[derive(Args)]
#[command(next_help_heading = "Store")]
pub(crate) struct RedisFlags {
    /// A configuration file that says where the sessions are and how they are stored, so that this program and an application
    /// cannot disagree about them. The other flags of the store cannot be used beside it
    #[arg(long, value_name = "FILE", value_parser = config_file)]
    #[arg(conflicts_with_all = ["redis_username", "redis_password_file", "redis_timeout", "tls_ca", "tls_cert", "tls_key"])]
    #[arg(conflicts_with_all = ["prefix", "plain_tokens", "accept_plain_text"])]
    pub(crate) config: Option<ConfigFile>,

    /// The name of the ACL user to log in as, instead of the one in the URL
    #[arg(long, value_name = "NAME")]
    redis_username: Option<String>,

    /// A file that contains the password; it is read again for each connection. There is no flag for the password itself, because
    /// every user of this machine can see the flags of a process [default: the environment's REDIS_PASSWORD, else the password
    /// in REDIS_URL]
    #[arg(long, value_name = "FILE")]
    redis_password_file: Option<PathBuf>,

    /// How long to wait for a connection and for each answer
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    redis_timeout: u64,

    /// How long this verb waits at least, whoever says how long.
    #[arg(skip)]
    shortest_timeout: Duration,

    /// A file in PEM with the certificate of the authority that has signed the server's certificate [default: the authorities that
    /// the system trusts]
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,

    /// A file in PEM with the certificate that this program shows to the server
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// A file in PEM with the private key for --tls-cert
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// The text with which every key of the store begins
    #[arg(long, value_name = "PREFIX", default_value = "session:")]
    prefix: String,

    /// Use tokens without a secret half, which are shared with applications that follow the Redis tutorials
    #[arg(long)]
    plain_tokens: bool,

    /// Allow an unencrypted connection to a Redis on another machine
    #[arg(long)]
    accept_plain_text: bool,
}

impl RedisFlags {
    /// Returns how to reach these servers. `flag` is the flag that has named them, or `None` for the environment. There is at least
    /// one.
    ///
    /// # Errors
    /// Returns an error if a URL in a flag contains a password. The error does not repeat the URL.
    pub(crate) fn reach(&self, urls: Vec<Url>, flag: Option<&str>) -> Result<Reach, Failure> {
        if let Some(flag) = flag.filter(|_| urls.iter().any(has_password)) {
            return Err(Failure::usage(format!(
                "{flag} contains a password, and every user of this machine can see the flags of a process: change the \
                 password, and give the new one in REDIS_URL, in REDIS_PASSWORD or with --redis-password-file"
            )));
        }
        let (first, said) = (&urls[0], self.said());
        let certificates = certificates(&said);
        let user = said.username.or_else(|| user(first).map(|name| name.into_owned()));
        let has_password = has_password(first) || said.password_file.is_some() || password_of_environment().is_some();
        Ok(Reach { user, has_password, certificates, urls })
    }

    pub(crate) fn wants_tls(&self) -> bool {
        wants_tls(&self.said())
    }

    /// Returns a builder with everything that the flags say.
    ///
    /// # Errors
    /// Returns an error if the flags contradict each other, or a file cannot be read.
    pub(crate) fn builder(&self, reach: &Reach) -> Result<RedisBuilder, Failure> {
        let (urls, said) = (&reach.urls, self.said());
        let mut builder = Redis::builder(urls[0].as_str()).prefix(self.prefix()).timeout(self.timeout());
        for url in &urls[1..] {
            builder = builder.and(url.as_str());
        }
        if said.accept_plain_text {
            builder = builder.accept_plain_text();
        }
        let password = password(&said)?;
        if let Some(name) = &said.username {
            if !reach.has_password {
                // the client logs in with a password only: without one it would be the default user
                return Err(Failure::usage(
                    "--redis-username needs a password as well: give it with --redis-password-file or in REDIS_PASSWORD",
                ));
            }
            builder = builder.username(name);
        }
        builder = match (&said.password_file, password) {
            // a pipe can be read only once
            (Some(file), _) if file.is_file() => builder.password_file(file),
            (_, Some(password)) => builder.password(password),
            (_, None) => builder,
        };
        if let Some(file) = &said.sentinel_password_file {
            builder = builder.sentinel_password_file(file);
        }
        with_certificates(builder, urls, &said)
    }

    /// Waits at least ten seconds for each answer. For verbs that ask for much in one step, and would have to start again after a
    /// time-out.
    pub(crate) fn be_patient(&mut self) {
        self.shortest_timeout = Duration::from_secs(10);
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.said().timeout.unwrap_or(Duration::from_millis(self.redis_timeout)).max(self.shortest_timeout)
    }

    /// The text with which every key of the store begins.
    pub(crate) fn prefix(&self) -> String {
        self.said().prefix.unwrap_or_else(|| self.prefix.clone())
    }

    pub(crate) fn token_format(&self) -> TokenFormat {
        match &self.config {
            Some(file) => file.settings().token_format(),
            None if self.plain_tokens => TokenFormat::Plain,
            None => TokenFormat::Secret,
        }
    }

    pub(crate) fn plain_tokens(&self) -> bool {
        self.token_format() == TokenFormat::Plain
    }

    /// What is said of the store: by the configuration file, or else by these flags.
    fn said(&self) -> StoreSettings {
        if let Some(file) = &self.config {
            return file.store().clone();
        }
        let mut said = StoreSettings::default();
        said.username.clone_from(&self.redis_username);
        said.password_file.clone_from(&self.redis_password_file);
        said.accept_plain_text = self.accept_plain_text;
        said.tls_ca.clone_from(&self.tls_ca);
        said.tls_cert.clone_from(&self.tls_cert);
        said.tls_key.clone_from(&self.tls_key);
        said
    }
}

/// Returns the flags that tell redis-cli the certificates.
fn certificates(said: &StoreSettings) -> Vec<String> {
    let files = [("--cacert", &said.tls_ca), ("--cert", &said.tls_cert), ("--key", &said.tls_key)];
    let given =
        files.into_iter().filter_map(|(flag, file)| Some([flag.to_owned(), file.as_ref()?.display().to_string()]));
    given.flatten().collect()
}

fn wants_tls(said: &StoreSettings) -> bool {
    said.tls_ca.is_some() || said.tls_cert.is_some()
}

fn with_certificates(mut builder: RedisBuilder, urls: &[Url], said: &StoreSettings) -> Result<RedisBuilder, Failure> {
    if wants_tls(said) && !urls.iter().all(is_tls) {
        return Err(Failure::usage(
            "--tls-ca and --tls-cert are only for TLS: begin the URL with rediss:// instead of redis://",
        ));
    }
    if let Some(file) = &said.tls_ca {
        builder = builder.tls_ca(contents("--tls-ca", file)?);
    }
    if let (Some(certificate), Some(key)) = (&said.tls_cert, &said.tls_key) {
        builder = builder.tls_client_certificate(contents("--tls-cert", certificate)?, contents("--tls-key", key)?);
    }
    Ok(builder)
}

/// The password, if it is not the URL's.
fn password(said: &StoreSettings) -> Result<Option<String>, Failure> {
    let Some(file) = &said.password_file else {
        return Ok(password_of_environment());
    };
    let refuse = |why| Failure::usage(format!("--redis-password-file {}: {why}", file.display()));
    let text =
        String::from_utf8(contents("--redis-password-file", file)?).map_err(|_| refuse("it is not a text in UTF-8"))?;
    let password = text.trim_end_matches(['\r', '\n']);
    match password.is_empty() || password.contains('\n') {
        true => Err(refuse("it must contain exactly one line with the password")),
        false => Ok(Some(password.to_owned())),
    }
}

/// Reads the configuration file that a flag names.
fn config_file(path: &str) -> Result<ConfigFile, String> {
    ConfigFile::read(path).map_err(|error| error.to_string())
}

/// Connects to Redis. Errors name the flags of the command line and not the methods of the library.
///
/// # Errors
/// Returns an error if Redis does not answer within the time-out, or if a setting is refused.
pub(crate) async fn connect(builder: RedisBuilder) -> Result<Redis, Failure> {
    let words = [
        ("accept_plain_text()", "--accept-plain-text"),
        ("tls_ca", "--tls-ca"),
        ("tls_client_certificate", "--tls-cert or --tls-key"),
    ];
    builder.connect().await.map_err(|error| {
        words.iter().fold(Failure::from(error), |failure, (library, flag)| failure.reworded(library, flag))
    })
}

/// An empty variable counts as not set, so that a service file can switch it off.
fn password_of_environment() -> Option<String> {
    std::env::var("REDIS_PASSWORD").ok().filter(|password| !password.is_empty())
}

/// Reads a URL.
///
/// # Errors
/// Returns an error if the text is not a URL. The error does not repeat the text, which may contain a password.
pub(crate) fn parsed(source: &str, url: &str) -> Result<Url, Failure> {
    Url::parse(url).map_err(|error| Failure::usage(format!("{source} is not a URL: {error}")))
}

fn contents(flag: &str, file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| Failure::usage(format!("{flag} {}: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_url_is_not_repeated_because_it_may_hold_a_password() {
        let failure = parsed("--redis-url", "redis://:hunter2@[bad").err().map(|failure| failure.to_string());
        assert!(failure.is_some_and(|text| !text.contains("hunter2")));
    }
}
