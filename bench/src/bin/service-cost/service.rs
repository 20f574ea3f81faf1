//! `cloakroom serve`, on a Unix socket and on a port.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::asker::{Address, Asker};

/// A session with the fields of the comparison.
const FIELDS: &str = r#"{"set":{"name":"Andrew Example","email":"andrew.example@mail.example.org","cart":"4711:2,815:1,90210:3,1234:1,5678:9,31415:1,27182:2,16180:1","return_to":"/catalogue/coats/winter?colour=blue&size=52&page=3","preferences":"theme=dark,language=en-GB,currency=EUR,columns=4,hints=off","views":1}}"#;

pub struct Service {
    child: Child,
    socket: PathBuf,
    port: u16,
}

impl Service {
    pub fn start(program: &Path, directory: &Path, name: &str, store: &[&str]) -> Result<Service> {
        let socket = directory.join(format!("{name}.sock"));
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new(program)
            .arg("serve")
            .args(["--listen", &format!("127.0.0.1:{port}"), "--listen", &format!("unix:{}", socket.display())])
            .args(store)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("{}: build it with `cargo build --release -p cloakroom-cli`", program.display()))?;
        let service = Service { child, socket, port };
        let begin = Instant::now();
        while std::os::unix::net::UnixStream::connect(&service.socket).is_err() {
            if begin.elapsed() > Duration::from_secs(10) {
                bail!("the service does not listen on {}", service.socket.display());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(service)
    }

    /// Begins a session, and returns its cookie.
    pub async fn begin_session(&self) -> Result<String> {
        let answer = Asker::connect(&self.address(true)).await?.ask("PATCH", "", FIELDS).await?;
        let cookie = answer.headers().get("set-cookie").context("the service set no cookie")?.to_str()?;
        Ok(cookie.split(';').next().unwrap_or_default().to_owned())
    }

    pub fn address(&self, is_unix: bool) -> Address {
        if is_unix { Address::Unix(self.socket.clone()) } else { Address::Tcp(self.port) }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
