//! Checks whether the connecting user may run every command that the store needs. This is asked once, when connecting.
//! Otherwise a missing right would be noticed only when a command is needed, in the middle of some work.

use super::keys::Prefix;
use super::link::Link;
use super::question::Question;
use super::scripts::{Call, Scripts};
use super::topology::Topology;
use crate::error::StoreError;

/// An id of 128 zero bits, which no session has. It also serves as the name of a user whom no application has.
const NOBODY: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// What the store sends and what its scripts call, in forms that change nothing: no key is there, or an argument is one that the
/// command refuses after the server has let it pass.
const COMMANDS: &[&str] = &[
    "time",
    "hgetall SESSION",
    "hmget SESSION created_at",
    "hget SESSION created_at",
    "pttl SESSION",
    "hset SESSION created_at a-text last_accessed_at",
    "hdel SESSION created_at",
    "hincrby SESSION created_at no-number",
    "del SESSION",
    "pexpireat SESSION 1",
    "zadd INDEX xx 0 id",
    "zcount INDEX 0 +inf",
    "zrange INDEX 0 0",
    "zrangebyscore INDEX 0 +inf",
    "zrevrangebyscore INDEX +inf 0",
    "zrem INDEX id",
    "zscore INDEX id",
];

/// Tries all commands on each primary that can be reached. One round trip, and three more in a cluster. Nothing is changed.
///
/// # Errors
/// Fails if a server forbids some of the commands. The error names them and says what to grant. If a server fails in another
/// way, this is no error here.
pub(super) async fn check(server: &Topology, scripts: &Scripts, prefix: &Prefix) -> Result<(), StoreError> {
    for name in server.primaries() {
        // A primary that cannot be reached now makes only the calls about its own keys fail, not all calls.
        let Ok(link) = server.primary(&name) else { continue };
        let mut missing = missing_everywhere(&link, scripts, prefix).await;
        if matches!(server, Topology::Cluster(_)) {
            missing.extend(missing_in_cluster(&link).await);
        }
        if !missing.is_empty() {
            return Err(forbidden(&name, missing, prefix));
        }
    }
    Ok(())
}

/// Returns what the user must be granted in addition, written as ACL rules.
async fn missing_everywhere(link: &Link, scripts: &Scripts, prefix: &Prefix) -> Vec<String> {
    let key = |kind: &str| format!("{}{kind}{NOBODY}", prefix.as_str());
    let (session, index) = (key(""), key("user:"));
    let mut script = Call::without_key(&scripts.rights);
    for command in COMMANDS {
        script.arg(command.replace("SESSION", &session).replace("INDEX", &index));
    }
    match link.ask(Question::Script(&script)).await {
        Ok(answer) => {
            let missing: Vec<String> = redis::from_redis_value(answer).unwrap_or_default();
            let keys = format!("~{}*", prefix.as_str());
            let rule = |name: String| if name == "~" { keys.clone() } else { format!("+{name}") };
            missing.into_iter().map(rule).collect()
        }
        // the command that runs scripts is itself forbidden
        Err(failure) if is_forbidden(&failure.error) => match failure.error.to_string().contains("evalsha") {
            true => vec!["+evalsha".to_owned()],
            false => vec!["+script|load".to_owned()],
        },
        Err(_) => Vec::new(),
    }
}

/// Returns the missing rights that are needed while slots move from one server of a cluster to another.
async fn missing_in_cluster(link: &Link) -> Vec<String> {
    // If EXEC is refused, the error is EXECABORT, and the transaction that MULTI began is over.
    let mut transaction = redis::pipe();
    transaction.cmd("MULTI").cmd("EXEC").ignore_errors();
    let asking = redis::cmd("ASKING");
    let questions = [(Question::Command(&asking), "+asking"), (Question::Flight(&transaction), "+multi +exec")];
    let mut missing = Vec::new();
    for (question, rule) in questions {
        if link.ask(question).await.is_err_and(|failure| is_forbidden(&failure.error)) {
            missing.push(rule.to_owned());
        }
    }
    missing
}

fn is_forbidden(error: &StoreError) -> bool {
    matches!(error.code(), Some("NOPERM" | "EXECABORT"))
}

fn forbidden(server: &str, mut missing: Vec<String>, prefix: &Prefix) -> StoreError {
    missing.sort();
    missing.dedup();
    let message = format!(
        "{server} forbids this user what sessions with the prefix {} need: grant it with ACL SETUSER <name> {}",
        prefix.as_str(),
        missing.join(" ")
    );
    StoreError::refused("NOPERM", message)
}
