//! Finds out what a user may do on a server, without changing anything.

use cloakroom::store::Redis;
use cloakroom::store::StoreError;

/// A session id that nobody has: 128 bits of zeros.
const NOBODY: &str = "AAAAAAAAAAAAAAAAAAAAAA";
const NO_SCRIPT: &str = "0000000000000000000000000000000000000000";

/// Every command that the library sends or that its scripts call, in a form that changes nothing: the key does not exist, or the
/// command refuses an argument after the ACL has let the command pass. `S` stands for a session's key, `U` for the key of a user's
/// index.
pub(super) const NEEDED: [&[&str]; 20] = [
    &["PING"],
    &["TIME"],
    &["HGETALL", "S"],
    &["HMGET", "S", "created_at"],
    &["HGET", "S", "created_at"],
    &["PTTL", "S"],
    &["HSET", "S", "a", "b", "a value is missing"],
    &["HDEL", "S", "created_at"],
    &["HINCRBY", "S", "a", "no number"],
    &["DEL", "S"],
    &["PEXPIREAT", "S", "1"],
    &["ZADD", "U", "no number", "a"],
    &["ZCOUNT", "U", "0", "+inf"],
    &["ZRANGE", "U", "0", "0"],
    &["ZRANGEBYSCORE", "U", "0", "+inf"],
    &["ZREVRANGEBYSCORE", "U", "+inf", "0"],
    &["ZREM", "U", "a"],
    &["ZSCORE", "U", "a"],
    &["EVALSHA", NO_SCRIPT, "1", "S"],
    &["SCRIPT", "LOAD", "return 1"],
];

/// The commands that a cluster needs as well. INFO tells the library that it is a cluster. EXEC stands for MULTI as well, because
/// MULTI would begin a transaction.
pub(super) const NEEDED_IN_A_CLUSTER: [&[&str]; 4] =
    [&["INFO", "cluster"], &["CLUSTER", "SLOTS"], &["ASKING"], &["EXEC"]];

/// What durable revokes need.
const DURABLE: &[&str] = &["WAIT", "0", "1"];

/// What this user may not do.
#[derive(Debug, Default)]
pub(super) struct Allowed {
    /// The commands, as the rules of an ACL name them.
    pub(super) missing: Vec<String>,
    /// True if the user may run some command, but not on our keys.
    pub(super) not_these_keys: bool,
    /// True if the user may run WAIT, which only durable revokes need.
    pub(super) may_wait: bool,
}

/// Tries all commands that are needed, without changing anything.
///
/// # Errors
/// Returns an error if the server does not answer.
pub(super) async fn try_all(redis: &Redis, server: &str, is_cluster: bool) -> Result<Allowed, StoreError> {
    let mut allowed = Allowed { may_wait: true, ..Allowed::default() };
    let session = format!("{}{NOBODY}", redis.prefix());
    // no application has a user whose id is this
    let index = format!("{}user:{NOBODY}", redis.prefix());
    let in_a_cluster = NEEDED_IN_A_CLUSTER.iter().filter(|_| is_cluster);
    for command in NEEDED.iter().chain(in_a_cluster).chain([&DURABLE]) {
        let key_of = |word: &&'static str| match *word {
            "S" => session.clone(),
            "U" => index.clone(),
            word => word.to_owned(),
        };
        let words: Vec<String> = command.iter().map(key_of).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let error = match redis.command(server, &words).await {
            Ok(_) => continue,
            Err(error) if error.code().is_none() => return Err(error),
            // the ACL let the command pass, and the server refused it for another reason, such as a value that is not a number
            Err(error) if !is_forbidden(&error) => continue,
            Err(error) => error.to_string(),
        };
        if command[0] == "WAIT" {
            allowed.may_wait = false;
        } else if error.contains("key") && !error.contains("run the") {
            allowed.not_these_keys = true;
        } else {
            allowed.missing.push(rule_of(command));
        }
    }
    Ok(allowed)
}

/// Returns how the rules of an ACL name a command.
pub(super) fn rule_of(command: &[&str]) -> String {
    match command {
        ["EXEC"] => "multi +exec".to_owned(),
        [container @ ("SCRIPT" | "CLUSTER"), word, ..] => format!("{container}|{word}").to_lowercase(),
        [name, ..] => name.to_lowercase(),
        [] => String::new(),
    }
}

/// Returns true if the server has refused a command because this user may not run it, or because nobody can.
pub(super) fn is_forbidden(error: &StoreError) -> bool {
    match error.code() {
        Some("NOPERM") => true,
        // a renamed or unknown command has no error code of its own
        Some("ERR") => error.to_string().contains("unknown command"),
        _ => false,
    }
}
