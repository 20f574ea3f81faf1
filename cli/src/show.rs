//! `cloakroom show`: one session, without its secret.

use std::time::Duration;

use clap::Args;
use cloakroom::SessionId;
use cloakroom::store::Loaded;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::looking::LookFlags;
use crate::printable::printable;
use crate::terminal::{self, FAINT, STRONG, lasting, line, painted};
use crate::times::{iso, to_the_second};

#[derive(Args)]
pub(crate) struct Flags {
    /// The session's id, as shown in logs and lists
    id: String,

    #[command(flatten)]
    look: LookFlags,
}

/// Shows the session.
///
/// # Errors
/// Returns an error if there is no such session, or the store is not available.
pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    let opened = flags.look.open().await?;
    let id = opened.named(&flags.id, &flags.look.scan).await?;
    let Some(loaded) = opened.find(&id).await? else {
        return Err(Failure::not_found(format!("there is no session {id}: it has ended, or never existed")));
    };
    if flags.look.answer.json {
        let mut session = summary(&id, &loaded);
        session["fields"] =
            loaded.record.fields.iter().map(|(name, text)| (name.to_owned(), Value::from(text))).collect();
        return terminal::json(&session);
    }
    for (name, text) in reserved(&id, &loaded) {
        line(format_args!("{}  {text}", painted(FAINT, format_args!("{name:<15}"))))?;
    }
    line(painted(STRONG, format_args!("\n{}", terminal::Many(loaded.record.fields.len() as u64, "field"))))?;
    let width = loaded.record.fields.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    loaded.record.fields.iter().try_for_each(|(name, text)| {
        line(format_args!("{}  {}", painted(FAINT, format_args!("{:<width$}", printable(name))), printable(text)))
    })
}

/// Returns what a program wants to know about a session, without its fields.
pub(crate) fn summary(id: &SessionId, Loaded { record, now }: &Loaded) -> Value {
    let remaining = record.ends_at().duration_since(*now).unwrap_or_default();
    json!({
        "id": id.to_string(),
        "user": record.user_id.as_ref().map(|user| user.as_str()),
        "created_at": iso(record.created_at),
        "last_accessed_at": iso(record.last_accessed_at),
        "signed_in_at": record.signed_in_at.map(iso),
        "auth_time": record.auth_time.map(iso),
        "rotated_at": record.rotated_at.map(iso),
        "ends_at": iso(record.ends_at()),
        "remaining_seconds": remaining.as_secs(),
        "idle_timeout_seconds": record.idle_timeout.as_secs(),
        // with plain tokens the application's configuration has it, and the store has not
        "absolute_deadline": (!id.is_plain()).then(|| iso(record.expires_at)),
        "device": record.device,
        "ip": record.ip,
        "secret_hash": record.secret_hash.map(|_| HIDDEN),
        "previous_secret_held": record.previous.is_some(),
    })
}

const HIDDEN: &str = "(hidden)";

fn reserved(id: &SessionId, Loaded { record, now }: &Loaded) -> Vec<(&'static str, String)> {
    let ago = |time| format!("{}, {} ago", to_the_second(time), lasting(now.duration_since(time).unwrap_or_default()));
    let left = |time: std::time::SystemTime| time.duration_since(*now).unwrap_or(Duration::ZERO);
    let until = |time| format!("{}, in {}", to_the_second(time), lasting(left(time)));
    let user = record.user_id.as_ref().map_or("nobody".to_owned(), |user| printable(user.as_str()));
    let mut lines = vec![("session", id.to_string()), ("signed in", user)];
    lines.push(("created", ago(record.created_at)));
    lines.extend(record.signed_in_at.map(|time| ("signed in at", ago(time))));
    // with an identity provider, the user may have authenticated there earlier
    let earlier = record.auth_time.filter(|_| record.auth_time != record.signed_in_at);
    lines.extend(earlier.map(|time| ("authenticated", ago(time))));
    lines.push(("last seen", ago(record.last_accessed_at)));
    lines.push(("ends", until(record.ends_at())));
    lines.push(("idle timeout", lasting(record.idle_timeout)));
    if !id.is_plain() {
        lines.push(("deadline", until(record.expires_at)));
    }
    lines.extend(record.device.as_ref().map(|device| ("device", printable(device))));
    lines.extend(record.ip.as_ref().map(|ip| ("address", printable(ip))));
    lines.extend(record.rotated_at.map(|time| ("rotated", ago(time))));
    lines.extend(record.secret_hash.map(|_| ("secret hash", HIDDEN.to_owned())));
    lines.extend(record.previous.map(|_| ("previous secret", "still held".to_owned())));
    lines
}
