//! The devices on which a user is signed in.

use std::time::SystemTime;

use super::token::SessionId;
use crate::record::Record;

/// The longest device label and the longest address, in bytes. In Redis, a longer value would make its session take some 400 bytes
/// more.
pub const MAX_LABEL_BYTES: usize = 64;

/// One of a user's sessions, for a list that the user sees.
///
/// [`Session::devices`](crate::Session::devices) and [`Sessions::devices`](crate::Sessions::devices) return these.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// The id of the session. Pass it to [`Session::sign_out_device`](crate::Session::sign_out_device) to end the session.
    pub id: SessionId,
    /// When the session was created.
    pub created_at: SystemTime,
    /// When the user signed in with this session.
    pub signed_in_at: SystemTime,
    /// When the session was last extended. This is at most one touch interval before the last request.
    pub last_seen_at: SystemTime,
    /// When the session ends if there is no further request.
    pub ends_at: SystemTime,
    /// What kind of device it is, such as `Firefox on Windows 10`: as the application gave it at the sign-in, or made from the `User-Agent`.
    pub label: Option<String>,
    /// The address of the device, if the application gave one at the sign-in.
    pub ip: Option<String>,
    /// True if this is the session of the request that asks.
    pub current: bool,
}

impl Device {
    /// Returns the device of a record.
    pub fn of(id: SessionId, record: &Record) -> Device {
        Device {
            id,
            created_at: record.created_at,
            signed_in_at: record.signed_in_at.unwrap_or(record.created_at),
            last_seen_at: record.last_accessed_at,
            ends_at: record.ends_at(),
            label: record.device.clone(),
            ip: record.ip.clone(),
            current: false,
        }
    }
}

/// Which part of a list to return.
///
/// ```
/// use cloakroom::Page;
///
/// // the third page of a list with twenty entries on each page
/// let page = Page { offset: 40, limit: 20 };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many entries to skip.
    pub offset: usize,
    /// The most entries to return.
    pub limit: usize,
}

impl Default for Page {
    fn default() -> Self {
        Page { offset: 0, limit: 100 }
    }
}

/// Returns a text without its control characters, cut at the end of a character to at most `MAX_LABEL_BYTES`.
pub(crate) fn label(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    let mut end = clean.len().min(MAX_LABEL_BYTES);
    while !clean.is_char_boundary(end) {
        end -= 1;
    }
    clean[..end].to_owned()
}

/// Returns what a person calls the device that sends this `User-Agent`, such as `Firefox on Windows 10`.
pub(crate) fn label_of_user_agent(user_agent: &str) -> Option<String> {
    // no browser sends more, and parsing a very long text would take time
    let parsed = woothee::parser::Parser::new().parse(user_agent.get(..512).unwrap_or(user_agent))?;
    let known = |text: &str| (!text.is_empty() && text != "UNKNOWN").then(|| text.to_owned());
    match (known(parsed.name), known(parsed.os)) {
        (Some(browser), Some(os)) => Some(label(&format!("{browser} on {os}"))),
        (Some(either), None) | (None, Some(either)) => Some(label(&either)),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_agent_becomes_what_a_person_calls_it() {
        let firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0";
        assert_eq!(label_of_user_agent(firefox).unwrap(), "Firefox on Windows 10");
        assert_eq!(label_of_user_agent("curl/8.5.0").as_deref(), Some("HTTP Library"));
        assert_eq!(label_of_user_agent("\u{1F9E5}".repeat(1000).as_str()), None);
        assert_eq!(label_of_user_agent(""), None);
    }

    #[test]
    fn a_label_has_at_most_64_bytes_and_no_control_characters() {
        assert_eq!(label("Anna's\r\nphone\0"), "Anna'sphone");
        assert_eq!(label(&"ä".repeat(100)).len(), 64);
        assert_eq!(label(&"€".repeat(100)).len(), 63);
    }
}
