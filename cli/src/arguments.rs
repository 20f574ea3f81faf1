//! The command line, where a session id may begin with a hyphen: one of 64 does, and whoever pastes it need not care. A
//! user id may begin with one, too.

use std::ffi::{OsStr, OsString};

/// What was typed, with the ids that would be taken for flags behind a `--`, and the user's in one word with its flag.
pub(crate) fn arguments(typed: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut typed = typed.peekable();
    let (mut ids, mut others) = (Vec::new(), Vec::new());
    while let Some(word) = typed.next() {
        if word == "--" {
            others.push(word);
            others.append(&mut ids);
            others.extend(typed);
            return others;
        }
        if word == "--user"
            && let Some(user) = typed.next_if(|user| is_user_like_a_flag(user))
        {
            let mut both = word;
            both.push("=");
            both.push(user);
            others.push(both);
        } else if word.to_str().is_some_and(is_id_like_a_flag) {
            ids.push(word);
        } else {
            others.push(word);
        }
    }
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

/// What stands behind `--user` is the user, unless it can only be another flag: then the user was forgotten.
fn is_user_like_a_flag(word: &OsStr) -> bool {
    word.to_str().is_some_and(|word| word.starts_with('-') && (!word.starts_with("--") || is_id_like_a_flag(word)))
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
            ("list --user -x --json", "list --user=-x --json"),
            ("list --user -Ok3V0pXq1mB8sT5rYw2uC", "list --user=-Ok3V0pXq1mB8sT5rYw2uC"),
            ("list --user andrew -h", "list --user andrew -h"),
            ("list --user --json", "list --user --json"),
            ("list --user -- -x", "list --user -- -x"),
            ("list --redis-password-file x -h", "list --redis-password-file x -h"),
            ("list --redis-passwort-files x", "list --redis-passwort-files x"),
        ];
        for (typed, meant) in cases {
            let words = arguments(typed.split(' ').map(OsString::from));
            assert_eq!(words.join(" ".as_ref()), OsString::from(meant), "{typed}");
        }
    }
}
