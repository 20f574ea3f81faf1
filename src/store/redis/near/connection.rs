//! Connections on which the server tells of changes.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, ProtocolVersion, PushInfo, RedisError, RedisResult, Value};

use super::{Near, Tracking};
use crate::store::redis::client_error::reason;
use crate::store::redis::dial::Dialer;
use crate::store::redis::moment::Moment;

/// Opens a connection on which the server tells of changes. If the server cannot do so, opens an ordinary connection, and
/// every session is read from the server each time.
pub(in crate::store::redis) async fn open(
    dialer: &Dialer,
    timeout: Duration,
    near: &Arc<Near>,
) -> RedisResult<(MultiplexedConnection, Option<Arc<Tracking>>)> {
    match open_tracked(dialer, timeout, near).await {
        Ok((connection, tracking)) => Ok((connection, Some(tracking))),
        Err(error) if error.is_io_error() || error.is_timeout() => Err(error),
        Err(error) => {
            let connection = dialer.open(timeout).await?;
            tracing::warn!(target: "cloakroom", "the near cache is off: {}", reason(&error));
            Ok((connection, None))
        }
    }
}

async fn open_tracked(
    dialer: &Dialer,
    timeout: Duration,
    near: &Arc<Near>,
) -> RedisResult<(MultiplexedConnection, Arc<Tracking>)> {
    let tracking = Arc::new(Tracking::default());
    let hears = {
        let (near, tracking) = (near.clone(), tracking.clone());
        // called where replies are parsed, so that a push is heard before every reply that comes after it
        move |push: PushInfo| -> Result<(), RedisError> {
            near.hear(&push, &tracking);
            Ok(())
        }
    };
    let config = AsyncConnectionConfig::new().set_push_sender(hears);
    // with the older protocol a connection receives only answers, no pushes
    let mut connection = dialer.open_with(config, ProtocolVersion::RESP3, timeout).await?;
    let asked = Moment::now();
    redis::cmd("CLIENT").arg("TRACKING").arg("ON").exec_async(&mut connection).await?;
    need_tracking(redis::cmd("CLIENT").arg("TRACKINGINFO").query_async(&mut connection).await)?;
    tracking.prove(asked);
    Ok((connection, tracking))
}

/// Returns an error unless the server really tracks keys. A proxy may accept the command and do nothing.
fn need_tracking(answer: RedisResult<Value>) -> RedisResult<()> {
    let stands = match answer {
        Ok(Value::Map(info)) => info.iter().any(|(name, value)| text_of(name) == "flags" && holds(value, "on")),
        Ok(_) => false,
        // Redis 6.0 tracks keys, but cannot be asked whether it does
        Err(error) => return if error.code() == Some("ERR") { Ok(()) } else { Err(error) },
    };
    if stands { Ok(()) } else { Err((ErrorKind::Client, "the server does not track what is read").into()) }
}

fn holds(list: &Value, wanted: &str) -> bool {
    matches!(list, Value::Array(items) | Value::Set(items) if items.iter().any(|item| text_of(item) == wanted))
}

fn text_of(value: &Value) -> &str {
    match value {
        Value::SimpleString(text) => text,
        Value::BulkString(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
        _ => "",
    }
}
