//! How verbs print: lines for people and JSON for programs on stdout, remarks on stderr. There are colours only on a terminal, and
//! only if `NO_COLOR` is not set.

use std::fmt::{self, Display};
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde::Serialize;

use crate::failure::Failure;
use crate::printable::{printable, printable_json};

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const FAINT: Style = Style::new().dimmed();
pub(crate) const STRONG: Style = Style::new().bold();

/// The flag of every verb that prints an answer.
#[derive(Args)]
pub(crate) struct AnswerFlags {
    /// Print the answer as JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// Prints one line on stdout. The caller has made every text of others in it [`printable`].
///
/// # Errors
/// Returns an error if nobody reads stdout any more.
pub(crate) fn line(text: impl Display) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    Ok(writeln!(stdout, "{text}").and_then(|()| stdout.flush())?)
}

/// Prints one value as one line of JSON. Characters that control a terminal or cannot be seen are escaped.
///
/// # Errors
/// Returns an error if nobody reads stdout any more.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string(value).map_err(|error| Failure::failed(error.to_string()))?;
    line(printable_json(&json))
}

/// Prints a remark on stderr. That nobody reads it is no reason to fail.
pub(crate) fn remark(text: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{}", printable(&text.to_string()));
}

pub(crate) fn painted(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Asks for confirmation before something that cannot be undone. `what` completes the sentence "This will ...".
///
/// # Errors
/// Returns an error if there is no terminal to ask at and `--yes` is not given, and if the answer is not yes.
pub(crate) fn confirm(yes: bool, what: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Failure::usage(format!(
            "this would {what}, and there is no terminal to ask for confirmation: give --yes to do it"
        )));
    }
    let _ = write!(anstream::stderr().lock(), "This will {}. Continue? [y/N] ", printable(what));
    let mut answer = String::new();
    let _ = std::io::stdin().read_line(&mut answer);
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::failed("nothing was changed, because the answer was not yes")),
    }
}

/// Prints rows under a heading. Each column is as wide as its longest cell.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heading[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..heading.len()).map(width).collect();
    let joined = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    line(painted(STRONG, joined(heading.to_vec())))?;
    rows.iter().try_for_each(|row| line(joined(row.iter().map(String::as_str).collect())))
}

/// Writes a duration in its largest unit, or the two largest.
pub(crate) fn lasting(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3599 => format!("{minutes} min"),
        3600..=86399 => format!("{hours} h {:02} min", minutes % 60),
        _ => format!("{days} d {:02} h", hours % 24),
    }
}

/// Writes a number with commas between the thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Displays a number with its noun: `1 session`, `2 sessions`.
pub(crate) struct Many(pub(crate) u64, pub(crate) &'static str);

impl Display for Many {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", count(self.0), self.1, if self.0 == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_read_as_a_person_says_them() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        let said = [59, 60, 3599, 3660, 90_000].map(|seconds| lasting(Duration::from_secs(seconds)));
        assert_eq!(said, ["59 s", "1 min", "59 min", "1 h 01 min", "1 d 01 h"]);
        assert_eq!([Many(1, "session").to_string(), Many(2, "session").to_string()], ["1 session", "2 sessions"]);
    }
}
