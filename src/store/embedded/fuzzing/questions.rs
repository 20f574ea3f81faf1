//! The control socket: what is understood is exactly what is sent for it.

use serde_json::Value;

use super::super::control::Question;

/// Checks a line as an operator's question.
pub fn questions(input: &[u8]) {
    let Ok(sent) = serde_json::from_slice::<Value>(input) else { return };
    if let Some(question) = Question::of(&sent) {
        assert_eq!(question.as_json(), sent);
    }
}
