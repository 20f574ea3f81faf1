//! Checks the keys of sessions and indexes that were looked at.

use super::finding::Finding;
use super::sample::Sample;
use super::server::Server;
use crate::terminal::{Many, count};

/// Above this share of sessions that are not compact, something can be saved.
const MANY: f64 = 0.1;
/// `hash-max-listpack-value` where nobody has set it.
const DEFAULT_LIMIT: u64 = 64;
/// The longest value for which raising the limit is cheaper than shortening the value.
const WORTH_RAISING: usize = 512;

/// Says how many keys were looked at, and whether there are keys of another type.
pub(super) fn looked_at(sample: &Sample) -> Finding {
    const CHECK: &str = "keys";
    let whole = if sample.is_whole { "all keys" } else { "a part of all keys: use --full to look at all of them" };
    let others = match sample.others {
        0 => String::new(),
        others => format!("; {} with the same prefix skipped", Many(others, "other key")),
    };
    let text = format!(
        "looked at {} and {} of users ({whole}){others}",
        Many(sample.sessions, "session"),
        indexes(sample.indexes)
    );
    match sample.strangers {
        0 => Finding::ok(CHECK, text),
        strangers => Finding::warn(
            CHECK,
            format!("{text}; {} of another type where a session or an index should be", Many(strangers, "key")),
        )
        .advice("find out which program writes keys with this prefix; such a key does not count as a session"),
    }
}

/// Checks for keys that never expire.
pub(super) fn expiry(sample: &Sample) -> Finding {
    const CHECK: &str = "expiry";
    if sample.refused.contains("PTTL") {
        return Finding::skipped(CHECK, "PTTL");
    }
    if sample.without_expiry == 0 {
        return Finding::ok(CHECK, "every key has an expiry");
    }
    let named = sample.named_without_expiry.join(", ");
    let more = if sample.without_expiry > sample.named_without_expiry.len() as u64 { ", ..." } else { "" };
    Finding::bad(
        CHECK,
        format!(
            "{} without an expiry, which another program has written: {named}{more}",
            Many(sample.without_expiry, "key")
        ),
    )
    .advice("find out which program writes them, then EXPIRE or DEL them: they open no session, but stay forever")
}

/// Checks whether sessions are stored compactly.
pub(super) fn encoding(sample: &Sample, servers: &[Server]) -> Finding {
    const CHECK: &str = "encoding";
    if sample.refused.contains("OBJECT ENCODING") {
        return Finding::skipped(CHECK, "OBJECT ENCODING");
    }
    let setting = |name: &str| {
        let settings = servers.iter().filter_map(|server| {
            server
                .numeric_setting(&format!("hash-max-listpack-{name}"))
                .or(server.numeric_setting(&format!("hash-max-ziplist-{name}")))
        });
        settings.min()
    };
    let limit = setting("value");
    let shown = limit.map_or("not known".to_owned(), |limit| limit.to_string());
    let limits = format!("hash-max-listpack-value is {shown}");
    if sample.encoded == 0 {
        return Finding::ok(CHECK, format!("there is no session to look at; {limits}"));
    }
    let share = sample.hashtables as f64 / sample.encoded as f64;
    let text = format!(
        "{:.0} % of the sessions are stored as a hashtable, which takes 400 to 600 bytes more; {limits}",
        share * 100.0
    );
    if share <= MANY {
        return Finding::ok(CHECK, text);
    }
    let limit = usize::try_from(limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or(usize::MAX);
    let long: Vec<_> = sample.longest.iter().filter(|(_, longest)| **longest > limit).collect();
    let names = long.iter().map(|(name, longest)| format!("{name} ({longest} bytes)")).collect::<Vec<_>>().join(", ");
    match long.iter().map(|(_, longest)| **longest).max() {
        None => Finding::warn(
            CHECK,
            format!("{text}; they have too many fields, or the limit was raised since they were written"),
        )
        .advice("use fewer fields, or raise hash-max-listpack-entries"),
        Some(longest) if longest <= WORTH_RAISING => Finding::warn(CHECK, format!("{text}; long are {names}")).advice(
            format!("run CONFIG SET hash-max-listpack-value {}, then CONFIG REWRITE", longest.next_power_of_two()),
        ),
        Some(_) => Finding::warn(CHECK, format!("{text}; long are {names}"))
            .advice("store such values elsewhere, and only their key in the session"),
    }
}

/// Says how much memory a session takes.
pub(super) fn memory(sample: &Sample) -> Finding {
    const CHECK: &str = "memory";
    const MIB: f64 = 1024.0 * 1024.0;
    if sample.refused.contains("MEMORY USAGE") {
        return Finding::skipped(CHECK, "MEMORY USAGE");
    }
    match sample.bytes.checked_div(sample.weighed) {
        None => Finding::ok(CHECK, "there is no session to measure"),
        Some(bytes) => {
            let million = bytes as f64 * 1e6 / MIB;
            Finding::ok(
                CHECK,
                format!(
                    "{} bytes for a session: about {} MiB for a million sessions",
                    count(bytes),
                    count(million as u64)
                ),
            )
        }
    }
}

fn indexes(number: u64) -> String {
    format!("{} index{}", count(number), if number == 1 { "" } else { "es" })
}
