//! Damaged files: what is read from them was so, or they are refused by a message that says what is missing.

use super::super::open::{Contents, read_seal};
use super::damage::{Scratch, Truth, clock, held};

/// Checks what is read after the damage that the input says, six bytes each.
pub fn journal(input: &[u8]) {
    let (truth, scratch) = (Truth::get(), Scratch::new());
    let dir = scratch.path();
    truth.damaged(input, dir);
    let seal = read_seal(dir).and_then(|sealed| sealed.existing(dir));
    let read = seal.and_then(|seal| {
        assert_eq!(seal, truth.seal);
        Contents::read(dir, &seal, &clock())?.checked(dir)
    });
    match read {
        Ok(contents) => {
            let held = held(&contents.sessions);
            truth.assert_was_so(&held);
            if contents.recovered.unsealed.is_empty() {
                truth.assert_was_all_so(&held);
            }
        }
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains(&*dir.to_string_lossy()), "{error}");
        }
    }
}
