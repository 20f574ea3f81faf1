//! More connections than anybody needs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::caller::{Answer, all_of, ask, connect};
use crate::honest::{Honest, memory};
use crate::support::demo::Demo;
use crate::support::eventually;
use crate::support::service::service;

/// `CONNECTIONS=10000` in the environment tries more.
fn wanted() -> usize {
    std::env::var("CONNECTIONS").map_or(2000, |number| number.parse().expect("CONNECTIONS is a number"))
}

/// Lets this process open so many files, and a few more.
fn allow_files(number: usize) {
    let files = number as u64 + 100;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < files) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum: limit.maximum })
            .unwrap_or_else(|_| panic!("this test needs {files} open files: raise the limit with ulimit -Hn"));
    }
}

#[test]
fn thousands_of_connections_cost_little_and_each_is_answered() {
    let count = wanted();
    allow_files(count);
    let service = service(&["--store", "memory", "--max-connections", &(count + 100).to_string()]);
    let honest = Honest::begin(&service);
    let before = memory(&service);
    let mut crowd: Vec<TcpStream> = (0..count).map(|_| connect(&service)).collect();
    for (i, stream) in crowd.iter_mut().enumerate() {
        let half: &[u8] = if i % 2 == 0 { b"GET /v1/session HTTP/1.1\r\nho" } else { b"" };
        stream.write_all(half).expect("it reads");
    }
    let grown = memory(&service).saturating_sub(before);
    println!("{count} connections made the service grow by {grown} MiB");
    assert!(grown < 10 + count as u64 / 20, "{count} connections made the service grow by {grown} MiB");
    for (i, stream) in crowd.iter_mut().enumerate() {
        let rest: &[u8] = if i % 2 == 0 { b"st: a\r\n\r\n" } else { b"GET /v1/session HTTP/1.1\r\nhost: a\r\n\r\n" };
        stream.write_all(rest).expect("it reads");
    }
    for stream in &mut crowd {
        let mut answer = [0; 1000];
        let length = stream.read(&mut answer).expect("an answer");
        assert_eq!(Answer::read(&answer[..length]).status, 200);
    }
    honest.end(&service);
}

#[test]
fn beyond_the_limit_callers_wait_for_their_turn_and_the_operator_is_told() {
    let service = service(&[
        "--store",
        "memory",
        "--max-connections",
        "20",
        "--keep-alive",
        "2",
        "--admin-listen",
        "127.0.0.1:0",
    ]);
    let silent: Vec<TcpStream> = (0..20).map(|_| connect(&service)).collect();
    eventually("all places are taken", || service.stderr().contains("all connections are in use").then_some(()));
    let said = service.stdout();
    let admin = said.lines().find_map(|line| line.strip_prefix("For administrators: http://")).expect("an address");
    let admin = admin.split_whitespace().next().expect("an address");
    assert_eq!(
        crate::caller::ask_at(admin, "GET", "/livez", &[], "").status,
        200,
        "operators have places of their own"
    );
    assert_eq!(ask(&service, "GET", "/livez", &[], "").status, 200, "when the silent ones have had their time");
    silent.into_iter().for_each(|stream| assert_eq!(all_of(stream), b""));
    assert_eq!(service.stderr().matches("all connections are in use").count(), 1);
}

#[test]
fn with_few_open_files_the_service_has_fewer_connections_and_says_so() {
    let service = Demo::by({
        let mut command = Command::new("sh");
        command.args(["-c", r#"ulimit -n 150 && exec "$0" "$@""#, env!("CARGO_BIN_EXE_cloakroom")]);
        command.args(["serve", "--store", "memory", "--listen", "127.0.0.1:0", "--keep-alive", "1"]);
        command
    });
    let crowd: Vec<TcpStream> = (0..100).map(|_| connect(&service)).collect();
    assert_eq!(ask(&service, "GET", "/livez", &[], "").status, 200, "when the silent ones have had their time");
    drop(crowd);
    let said = service.stderr();
    assert!(
        said.contains("raise its limit of open files") && !said.contains("no connection can be accepted"),
        "{said}"
    );
}
