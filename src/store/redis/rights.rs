//! Whether the user that connects may do all that the store does. Asked once, when connecting: a command that is refused only
//! when it is needed would be refused in the middle of something.

use super::keys::Prefix;
use super::link::Link;
use super::question::Question;
use super::scripts::{Call, Scripts};
use super::topology::Topology;
use crate::error::StoreError;

/// An id of 128 zero bits, which nobody has; a user whom no application has is named the same.
const NOBODY: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Tries all commands, on each primary that is there: one round trip, three more in a cluster. Nothing is changed.
///
/// # Errors
/// When a server forbids some of them: which, and what to grant. A server that fails in another way is none of this.
pub(super) async fn check(server: &Topology, scripts: &Scripts, prefix: &Prefix) -> Result<(), StoreError> {
    for name in server.primaries() {
        // one that cannot be reached now fails the calls about its keys, not all
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

/// What a user must be granted besides, as the rules of an ACL name it.
async fn missing_everywhere(link: &Link, scripts: &Scripts, prefix: &Prefix) -> Vec<String> {
    let key = |kind: &str| format!("{}{kind}{NOBODY}", prefix.as_str());
    let mut script = Call::without_key(&scripts.rights);
    script.arg(key("")).arg(key("user:"));
    match link.ask(Question::Script(&script)).await {
        Ok(answer) => {
            let missing: Vec<String> = redis::from_redis_value(answer).unwrap_or_default();
            let keys = format!("~{}*", prefix.as_str());
            let rule = |name: String| if name == "~" { keys.clone() } else { format!("+{name}") };
            missing.into_iter().map(rule).collect()
        }
        // what runs a script is itself forbidden
        Err(failure) if is_forbidden(&failure.error) => match failure.error.to_string().contains("evalsha") {
            true => vec!["+evalsha".to_owned()],
            false => vec!["+script|load".to_owned()],
        },
        Err(_) => Vec::new(),
    }
}

/// What is needed while slots move from one server of a cluster to another.
async fn missing_in_cluster(link: &Link) -> Vec<String> {
    // a refused EXEC ends what MULTI has begun, and says EXECABORT
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
