//! Damaged files, and a store that is opened on them all the same: opened again it is the same store. One that is refused is
//! left as it is, and what a repair keeps was so once.

use super::super::Embedded;
use super::super::snapshot::Snapshot;
use super::damage::{Held, Scratch, Truth, clock, contents, held};

/// Checks a store that is opened after the damage that the input says, six bytes each.
pub fn reopening(input: &[u8]) {
    let (truth, scratch) = (Truth::get(), Scratch::new());
    let dir = scratch.path();
    truth.damaged(input, dir);
    let before = contents(dir);
    let builder = || Embedded::builder(dir).without_control_socket().clock(clock()).existing_only();
    let open = || builder().open().map(|store| held(&store.shared.sessions));
    let once = match open() {
        Ok(once) => {
            truth.assert_was_so(&once);
            once
        }
        Err(_) => {
            assert!(contents(dir) == before, "what is refused is left as it is");
            let Ok(repaired) = builder().repair() else { return };
            let kept: Held = open().expect("it is repaired");
            truth.assert_was_ever_so(&kept);
            assert_eq!(kept.len(), repaired.sessions);
            kept
        }
    };
    assert_eq!(open().expect("it was opened before"), once);
    assert!(Snapshot::of(dir).is_ok());
}
