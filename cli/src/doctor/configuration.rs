//! Compares what was found with a configuration file, so that programs that share a Redis do not disagree in silence.

use cloakroom::{Config, TokenFormat};

use super::finding::Finding;
use super::sample::Sample;
use crate::terminal::Many;

const CHECK: &str = "configuration";

/// Returns what differs from the file, or that nothing does.
pub(super) fn compared(sample: &Sample, config: &Config) -> Vec<Finding> {
    let differences = [token_format(sample, config), idle_timeout(sample, config), sessions_of_a_user(sample, config)];
    let found: Vec<Finding> = differences.into_iter().flatten().collect();
    if found.is_empty() { vec![Finding::ok(CHECK, "what was looked at fits the configuration file")] } else { found }
}

fn token_format(sample: &Sample, config: &Config) -> Option<Finding> {
    let is_plain = config.token_format() == TokenFormat::Plain;
    let (wanted, other) = if is_plain { ("plain", "secret") } else { ("secret", "plain") };
    let text = format!(
        "{} with tokens of the format `{other}`, and the file says token_format = \"{wanted}\"",
        Many(sample.of_other_format, "session")
    );
    (sample.of_other_format > 0).then(|| {
        Finding::bad(CHECK, text).advice(
            "find out which program makes them: with this file they open nothing. Give that program the same file, or \
             another prefix",
        )
    })
}

/// Visitors have the configured idle timeout. A sign-in may have chosen its own.
fn idle_timeout(sample: &Sample, config: &Config) -> Option<Finding> {
    let wanted = config.terms().idle_timeout.as_secs();
    let others: Vec<_> = sample.idle_timeouts.iter().filter(|(idle, _)| **idle != wanted).collect();
    let (most, _) = others.iter().max_by_key(|(_, count)| **count)?;
    let text = format!(
        "{} of visitors with another idle timeout than the file's {wanted} seconds, most of them {most} seconds",
        Many(others.iter().map(|(_, count)| **count).sum(), "session")
    );
    Some(Finding::warn(CHECK, text).advice(
        "find out whether another program uses other settings. It is nothing to mend if the application sets the idle \
         timeout of single sessions itself, or if the file was changed and these sessions are from before",
    ))
}

fn sessions_of_a_user(sample: &Sample, config: &Config) -> Option<Finding> {
    let most = config.max_sessions_per_user() as u64;
    let text = format!(
        "a user has {} in the index, and the file says max_sessions_per_user = {most}",
        Many(sample.longest_index, "session")
    );
    (sample.longest_index > most).then(|| {
        Finding::warn(CHECK, text).advice(
            "find out whether another program allows more. If the limit was lowered, each user's next sign-in applies it",
        )
    })
}
