//! The command line, where a session id may begin with a hyphen: one of 64 does, and whoever pastes it need not care.

use std::ffi::OsString;

/// What was typed, with the ids that would be taken for flags behind a `--`.
pub(crate) fn arguments(typed: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let typed: Vec<_> = typed.collect();
    if typed.iter().any(|word| word == "--") {
        return typed;
    }
    let (ids, mut others): (Vec<_>, Vec<_>) =
        typed.into_iter().partition(|word| word.to_str().is_some_and(is_id_like_a_flag));
    if !ids.is_empty() {
        others.push("--".into());
        others.extend(ids);
    }
    others
}

/// No flag has capitals or digits, and hardly an id has none.
fn is_id_like_a_flag(word: &str) -> bool {
    let id = word.trim_end_matches('…');
    let is_id = id.len() == 22 || id.len() < word.len();
    word.starts_with('-') && is_id && is_base64url(id) && id.bytes().any(|b| !b.is_ascii_lowercase() && b != b'-')
}

/// Whether a text has only the characters of ids.
pub(crate) fn is_base64url(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_looks_like_a_flag_is_an_id_and_a_flag_is_a_flag() {
        let cases = [
            ("show -Ok3V0pXq1mB8sT5rYw2uC --json", "show --json -- -Ok3V0pXq1mB8sT5rYw2uC"),
            ("show --k3V0pXq1mB8sT5rYw2uC", "show -- --k3V0pXq1mB8sT5rYw2uC"),
            ("show --plain-tokens -k3V0pXq…", "show --plain-tokens -- -k3V0pXq…"),
            (
                "revoke Zk3V0pXq1mB8sT5rYw2uCg -hk3V0pXq1mB8sT5rYw2uC",
                "revoke Zk3V0pXq1mB8sT5rYw2uCg -- -hk3V0pXq1mB8sT5rYw2uC",
            ),
            ("show -- -Ok3V0pXq1mB8sT5rYw2uC", "show -- -Ok3V0pXq1mB8sT5rYw2uC"),
            ("list --redis-password-file x -h", "list --redis-password-file x -h"),
            ("list --redis-passwort-files x", "list --redis-passwort-files x"),
        ];
        for (typed, meant) in cases {
            let words = arguments(typed.split(' ').map(OsString::from));
            assert_eq!(words.join(" ".as_ref()), OsString::from(meant), "{typed}");
        }
    }
}
