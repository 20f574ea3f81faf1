//! The server that answers a constant: what no service can be faster than.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;
use tokio::net::{TcpListener, UnixListener};

use crate::asker::Address;

/// As long as the service's answer for the session that is asked for.
const ANSWER: &str = include_str!("constant.json");

pub async fn serve(socket: &Path) -> Result<()> {
    let answer = || async { ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], ANSWER) };
    let router = Router::new().route("/v1/session", get(answer));
    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    let unix = UnixListener::bind(socket)?;
    println!("{}", tcp.local_addr()?.port());
    tokio::try_join!(async { axum::serve(tcp, router.clone()).await }, async {
        axum::serve(unix, router.clone()).await
    })?;
    Ok(())
}

pub struct Constant {
    child: Child,
    socket: PathBuf,
    port: u16,
}

impl Constant {
    pub fn start(directory: &Path) -> Result<Constant> {
        let socket = directory.join("constant.sock");
        let mut child = Command::new(std::env::current_exe()?)
            .arg("constant")
            .arg(&socket)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("it is piped")?).read_line(&mut line)?;
        let port = line.trim().parse().context("the constant server did not start")?;
        Ok(Constant { child, socket, port })
    }

    pub fn address(&self, is_unix: bool) -> Address {
        if is_unix { Address::Unix(self.socket.clone()) } else { Address::Tcp(self.port) }
    }
}

impl Drop for Constant {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
