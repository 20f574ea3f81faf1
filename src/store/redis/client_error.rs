//! Errors of the client library, and ours in its type.

use std::io;

use redis::RedisError;

/// An error of ours, as the client's: its text is all that is shown of it.
pub(super) fn failed(why: impl Into<String>) -> RedisError {
    io::Error::other(why.into()).into()
}

/// What a client's error says, without the question that caused it: a server that does not know a command quotes its
/// arguments, and the key of a plain token is the token.
pub(super) fn reason(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => {
            let quoted = detail.find(", with args").unwrap_or(detail.len());
            format!("{code} {}", &detail[..quoted])
        }
        (Some(code), None) => code.to_owned(),
        (None, _) => error.to_string(),
    }
}
