//! The seal: what is read is exactly what is written for it.

use xxhash_rust::xxh3::xxh3_64;

use super::super::seal::Seal;
use crate::Clock;

/// Checks a text as a seal, and with the checksum that it would need.
pub fn seals(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let checked = format!("{text}checksum {:016x}\n", xxh3_64(input));
    for text in [text, &checked] {
        let Some(seal) = Seal::parse(text) else { continue };
        assert_eq!(seal.text(), text);
        let clock = Clock::system();
        clock.not_before(seal.time);
        assert!(clock.now() >= seal.time, "the clock goes on");
    }
}
