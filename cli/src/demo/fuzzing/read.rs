//! A form, read by its standard and by what the page says of its fields.

use super::LONGEST_TTL;

/// The fields of a form.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn read(text: &str) -> Form {
        let fields = text.split('&').map(|field| field.split_once('=').unwrap_or((field, "")));
        Form(fields.map(|(name, value)| (decoded(name), decoded(value))).collect())
    }

    /// The last one of this name, without the space around it.
    fn value(&self, name: &str) -> &str {
        self.0.iter().rfind(|field| field.0 == name).map_or("", |field| field.1.trim())
    }

    /// At most 40 characters, and no control characters.
    pub(super) fn username(&self) -> Option<&str> {
        match self.value("username") {
            "" => Some("Guest"),
            name if name.chars().count() <= 40 && !name.contains(char::is_control) => Some(name),
            _ => None,
        }
    }

    /// A whole number of seconds.
    pub(super) fn ttl(&self) -> Option<u64> {
        let digits = self.value("ttl");
        // longer numbers are greater, but for the zeros in front
        let number = digits.trim_start_matches('0');
        let is_short = number.len() <= LONGEST_TTL.to_string().len();
        let value = (is_short && digits.chars().all(|c| c.is_ascii_digit())).then(|| number.parse().ok())??;
        (value <= LONGEST_TTL).then_some(value)
    }

    pub(super) fn ttl_or_default(&self) -> Option<u64> {
        if self.value("ttl").is_empty() { Some(60) } else { self.ttl() }
    }
}

/// Bytes that are written as `%41`, and spaces as `+`.
fn decoded(text: &str) -> String {
    let (text, mut bytes) = (text.as_bytes(), Vec::new());
    let mut at = 0;
    while at < text.len() {
        let digits = text.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match (text[at], byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                at += 2;
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
