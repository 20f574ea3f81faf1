//! Errors of the client library, and our own errors in the library's type.

use std::io;

use redis::RedisError;

/// Makes an error of the client library's type from our own text. Only this text is ever shown.
pub(super) fn failed(why: impl Into<String>) -> RedisError {
    io::Error::other(why.into()).into()
}

/// Returns the text of a client library's error, without the command that caused it. A server that does not know a command
/// quotes the arguments in its answer, and with plain tokens the key contains the token.
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
