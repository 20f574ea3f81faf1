//! The scripts in `lua/`. Each does one task, and the code that they share stands before it.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, RedisResult, Script, ServerErrorKind, ToRedisArgs, Value};

use crate::record::{TokenFormat, reserved_fields};

pub(super) struct Scripts {
    pub(super) make: Script,
    pub(super) change: Script,
    pub(super) end: Script,
    pub(super) enlist: Script,
    pub(super) choose: Script,
    pub(super) entries: Script,
    pub(super) rights: Script,
}

impl Scripts {
    pub(super) fn new() -> Scripts {
        Scripts {
            make: Script::new(concat!(include_str!("lua/prelude.lua"), include_str!("lua/make.lua"))),
            change: Script::new(
                &[include_str!("lua/prelude.lua"), &reserved_names(), include_str!("lua/change.lua")].concat(),
            ),
            end: Script::new(concat!(include_str!("lua/prelude.lua"), include_str!("lua/end.lua"))),
            enlist: Script::new(concat!(include_str!("lua/index.lua"), include_str!("lua/enlist.lua"))),
            choose: Script::new(concat!(include_str!("lua/index.lua"), include_str!("lua/choose.lua"))),
            entries: Script::new(concat!(include_str!("lua/index.lua"), include_str!("lua/entries.lua"))),
            rights: Script::new(include_str!("lua/rights.lua")),
        }
    }
}

/// A function that returns the names of the reserved fields, where `'1'` says that the session has a plain token. Only a run
/// that calls it makes the table.
fn reserved_names() -> String {
    let table = |format| {
        let names = reserved_fields(format).iter().map(|name| format!("{name} = true"));
        names.collect::<Vec<_>>().join(", ")
    };
    format!(
        "local function reserved_names(is_plain)\n  \
         if is_plain == '1' then return {{ {} }} end\n  \
         return {{ {} }}\n\
         end\n",
        table(TokenFormat::Plain),
        table(TokenFormat::Secret),
    )
}

/// One call of a script about one key (or no key), written in the form in which it goes to the server. The client's own
/// invocation is not used, because it first keeps each of its two dozen arguments in a separate buffer.
pub(super) struct Call<'a> {
    script: &'a Script,
    command: Cmd,
}

impl<'a> Call<'a> {
    pub(super) fn new(script: &'a Script, key: &str) -> Call<'a> {
        let mut command = Cmd::with_capacity(32, 512);
        command.arg("EVALSHA").arg(script.get_hash()).arg(1).arg(key);
        Call { script, command }
    }

    /// Begins a call of a script that declares no key, so that any server of a cluster runs it.
    pub(super) fn without_key(script: &'a Script) -> Call<'a> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(script.get_hash()).arg(0);
        Call { script, command }
    }

    pub(super) fn arg(&mut self, argument: impl ToRedisArgs) -> &mut Self {
        self.command.arg(argument);
        self
    }

    /// Calls the script. If the server does not know the script, it has done nothing; then the script is loaded and called
    /// again.
    pub(super) async fn ask(&self, connection: &mut MultiplexedConnection) -> RedisResult<Value> {
        match self.command.query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.script.load_async(connection).await?;
                self.command.query_async(connection).await
            }
            answer => answer,
        }
    }
}
