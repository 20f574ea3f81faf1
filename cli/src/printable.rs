//! Text of somebody else, made safe to look at: whatever steers a terminal, turns the direction of writing or cannot be
//! seen is written as an escape.

use std::io::{self, Write};

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

/// The text with `\u{...}` in the place of each character that is not shown as itself. The joiners and selectors of emoji
/// are among these: they can hide text as well.
pub(crate) fn printable(text: &str) -> String {
    escaped(text, is_hidden, |c| c.escape_default().to_string())
}

/// The same for JSON, as JSON escapes: the text in it stays what it was.
pub(crate) fn printable_json(json: &str) -> String {
    let unit = |unit: &u16| format!("\\u{unit:04x}");
    escaped(json, is_hidden, |c| c.encode_utf16(&mut [0; 2]).iter().map(unit).collect())
}

fn escaped(text: &str, is_hidden: impl Fn(char) -> bool, escape: impl Fn(char) -> String) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) { safe.push_str(&escape(c)) } else { safe.push(c) }
    }
    safe
}

/// Whether a character is a control (C0, C1), a line or paragraph separator, or one that has no shape of its own: those of
/// bidirectional text, of no width, tags, fillers, variation selectors.
fn is_hidden(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    let hidden = [
        GeneralCategory::Control,
        GeneralCategory::Format,
        GeneralCategory::LineSeparator,
        GeneralCategory::ParagraphSeparator,
    ];
    hidden.contains(&category) || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// A log on its way to a terminal, whose lines and colours stay.
pub(crate) struct PrintableLog<W>(pub(crate) W);

/// A log of one JSON object a line, which stays JSON.
pub(crate) struct PrintableJsonLog<W>(pub(crate) W);

impl<W: Write> Write for PrintableLog<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // the subscriber hands over whole events, and escapes by itself what would begin a colour in them
        let is_hidden = |c| is_hidden(c) && !['\n', '\u{1b}'].contains(&c);
        let safe = escaped(&String::from_utf8_lossy(bytes), is_hidden, |c| c.escape_default().to_string());
        self.0.write_all(safe.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> Write for PrintableJsonLog<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in String::from_utf8_lossy(bytes).split_inclusive('\n') {
            let json = line.trim_end_matches('\n');
            self.0.write_all(printable_json(json).as_bytes())?;
            self.0.write_all(&line.as_bytes()[json.len()..])?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What must not reach a terminal, by the charts of Unicode and not by the tables that are used above.
    fn all_hidden() -> impl Iterator<Item = char> {
        let ranges = [
            0x00..=0x1F,       // C0
            0x7F..=0x9F,       // delete, and C1
            0xAD..=0xAD,       // soft hyphen
            0x34F..=0x34F,     // combining grapheme joiner
            0x61C..=0x61C,     // Arabic letter mark
            0x115F..=0x1160,   // fillers of Hangul
            0x17B4..=0x17B5,   // inherent vowels of Khmer
            0x180B..=0x180F,   // selectors and separator of Mongolian
            0x200B..=0x200F,   // of no width, and directions
            0x2028..=0x202E,   // separators, embeddings and overrides
            0x2060..=0x206F,   // word joiner, invisible operators, isolates
            0x3164..=0x3164,   // filler of Hangul
            0xFE00..=0xFE0F,   // variation selectors
            0xFEFF..=0xFEFF,   // byte order mark
            0xFFA0..=0xFFA0,   // filler of halfwidth Hangul
            0xFFF9..=0xFFFB,   // annotations
            0x1D173..=0x1D17A, // beams and slurs of music
            0xE0000..=0xE0FFF, // tags, and more variation selectors
        ];
        ranges.into_iter().flatten().filter_map(char::from_u32)
    }

    #[test]
    fn no_character_that_steers_or_hides_is_left_and_json_still_means_the_same() {
        for c in all_hidden() {
            let text = format!("a{c}b");
            assert_eq!(printable(&text), format!("a{}b", c.escape_default()));
            let json = printable_json(&serde_json::to_string(&text).expect("JSON"));
            assert!(json.chars().all(|c| c.is_ascii_graphic()), "{json}");
            assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);
        }
    }

    #[test]
    fn what_is_seen_stays_as_it_is() {
        for text in [r#"{"a": "b\n"}"#, "Ä Ольга 日本語 שלום नमस्ते 😀 é", "a\u{a0}b\u{3000}c"]
        {
            assert_eq!(printable(text), text);
            assert_eq!(printable_json(text), text);
        }
    }

    #[test]
    fn a_log_keeps_its_lines_and_its_colours() {
        let mut log = PrintableLog(Vec::new());
        log.write_all("\u{1b}[33mWARN\u{1b}[0m a\u{202e}b\u{9b}c\n".as_bytes()).expect("a Vec takes everything");
        assert_eq!(String::from_utf8_lossy(&log.0), "\u{1b}[33mWARN\u{1b}[0m a\\u{202e}b\\u{9b}c\n");
    }

    #[test]
    fn a_log_of_json_keeps_its_lines_and_stays_json() {
        let mut log = PrintableJsonLog(Vec::new());
        let lines = "{\"a\":\"b\u{202e}c\"}\n{\"a\":\"\u{9b}\"}\n";
        log.write_all(lines.as_bytes()).expect("a Vec takes everything");
        let written = String::from_utf8(log.0).expect("UTF-8");
        assert_eq!(written, "{\"a\":\"b\\u202ec\"}\n{\"a\":\"\\u009b\"}\n");
    }
}
