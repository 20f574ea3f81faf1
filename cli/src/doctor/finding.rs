//! What a check found, how bad it is, and what to do.

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    Warn,
    Bad,
    /// It is not known, because this user may not look.
    Skip,
}

impl Level {
    pub(super) fn name(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Bad => "bad",
            Level::Skip => "skip",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) level: Level,
    pub(super) text: String,
    pub(super) advice: Option<String>,
    /// The servers that it is about, or empty if it is about all of them.
    pub(super) servers: Vec<String>,
}

impl Finding {
    pub(super) fn new(check: &'static str, level: Level, text: impl Into<String>) -> Finding {
        Finding { check, level, text: text.into(), advice: None, servers: Vec::new() }
    }

    pub(super) fn ok(check: &'static str, text: impl Into<String>) -> Finding {
        Finding::new(check, Level::Ok, text)
    }

    pub(super) fn warn(check: &'static str, text: impl Into<String>) -> Finding {
        Finding::new(check, Level::Warn, text)
    }

    pub(super) fn bad(check: &'static str, text: impl Into<String>) -> Finding {
        Finding::new(check, Level::Bad, text)
    }

    /// A check that needs a command which this user may not run.
    pub(super) fn skipped(check: &'static str, command: &str) -> Finding {
        Finding::new(check, Level::Skip, format!("not checked, because this user may not run {command}"))
    }

    pub(super) fn advice(self, advice: impl Into<String>) -> Finding {
        Finding { advice: Some(advice.into()), ..self }
    }

    pub(super) fn on(self, server: &str) -> Finding {
        Finding { servers: vec![server.to_owned()], ..self }
    }
}

/// Merges equal findings of several servers into one. If all servers have the same finding, it names none of them.
pub(super) fn merged<'a>(findings: impl Iterator<Item = (&'a str, Finding)>) -> Vec<Finding> {
    let mut merged: Vec<Finding> = Vec::new();
    for (server, finding) in findings {
        let is_same = |other: &&mut Finding| other.level == finding.level && other.text == finding.text;
        match merged.iter_mut().find(is_same) {
            Some(same) => same.servers.push(server.to_owned()),
            None => merged.push(finding.on(server)),
        }
    }
    if let [only] = &mut merged[..] {
        only.servers.clear();
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_with_the_same_finding_share_a_line() {
        let all_well = ["a", "b"].map(|name| (name, Finding::ok("x", "well")));
        assert_eq!(merged(all_well.into_iter()), [Finding::ok("x", "well")]);
        let one_ill =
            [("a", Finding::ok("x", "well")), ("b", Finding::bad("x", "ill")), ("c", Finding::ok("x", "well"))];
        let merged = merged(one_ill.into_iter());
        assert_eq!(merged.iter().map(|finding| finding.servers.join(" ")).collect::<Vec<_>>(), ["a c", "b"]);
    }
}
