//! What the program logs to stderr: for people, or as JSON for programs.

use std::io::{IsTerminal as _, stderr};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::printable::{PrintableJsonLog, PrintableLog};

/// How the lines of the log look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Begins to log. `RUST_LOG` decides what is logged; without it, warnings and errors are.
pub(crate) fn to_stderr(format: LogFormat) {
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::WARN.into()).from_env_lossy();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(stderr().is_terminal());
    match format {
        LogFormat::Text => log.with_writer(|| PrintableLog(stderr())).init(),
        LogFormat::Json => {
            log.json().flatten_event(true).with_ansi(false).with_writer(|| PrintableJsonLog(stderr())).init();
        }
    }
}
