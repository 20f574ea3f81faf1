//! Callers that send too much, too slowly or never enough. An honest one is answered all the time.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::time::Duration;

use crate::caller::{Answer, all_of, ask, connect, request};
use crate::honest::{Honest, memory};
use crate::support::eventually;
use crate::support::service::service;

const TEN_MEGABYTES: usize = 10 * 1024 * 1024;

#[test]
fn a_body_of_ten_megabytes_is_refused_and_costs_no_memory() {
    let service = service(&["--store", "memory"]);
    let honest = Honest::begin(&service);
    let before = memory(&service);
    let body = format!(r#"{{"user":"{}"}}"#, "a".repeat(TEN_MEGABYTES));
    let whole = request("POST", "/v1/session/sign-in", &[], &body);
    let chunked = format!(
        "POST /v1/session/sign-in HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    std::thread::scope(|scope| {
        for _ in 0..5 {
            for sent in [&whole, &chunked] {
                scope.spawn(|| {
                    let mut stream = connect(&service);
                    stream.write_all(sent.as_bytes()).expect("it is read to its end, so that the answer is not missed");
                    let answer = Answer::read(&all_of(stream));
                    assert_eq!((answer.status, answer.code().as_str()), (413, "too-large"), "{answer:?}");
                });
            }
        }
    });
    let grown = memory(&service).saturating_sub(before);
    assert!(grown < 40, "ten bodies of 10 MiB made the service grow by {grown} MiB");
    honest.end(&service);
}

#[test]
fn a_body_that_comes_byte_by_byte_is_not_waited_for() {
    let service = service(&["--store", "memory", "--body-timeout", "1"]);
    let honest = Honest::begin(&service);
    let mut slow = connect(&service);
    slow.write_all(b"POST /v1/session/sign-in HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n").expect("it reads");
    slow.write_all(b"content-type: application/json\r\n\r\n").expect("it reads");
    let mut writing = slow.try_clone().expect("one more");
    let writer = std::thread::spawn(move || {
        while writing.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let mut answer = [0; 1000];
    let length = slow.read(&mut answer).expect("an answer");
    let answer = Answer::read(&answer[..length]);
    assert_eq!((answer.status, answer.code().as_str()), (408, "invalid"), "{answer:?}");
    let _ = slow.shutdown(Shutdown::Both);
    writer.join().expect("it notices that nobody listens");
    honest.end(&service);
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let service = service(&["--store", "memory", "--keep-alive", "2"]);
    let honest = Honest::begin(&service);
    let mut slow = connect(&service);
    slow.write_all(b"GET /v1/session HTTP/1.1\r\nhost: a\r\n").expect("it reads");
    let silent = connect(&service);
    let mut kept = connect(&service);
    kept.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").expect("it reads");
    assert_eq!(Answer::read(&all_of(slow)).status, 408);
    assert_eq!(all_of(silent), b"", "there is nothing to answer");
    let answers = String::from_utf8_lossy(&all_of(kept)).into_owned();
    assert_eq!(answers.matches("HTTP/1.1").count(), 1, "one answer to one request: {answers}");
    assert!(answers.contains("\r\nkeep-alive: timeout=2\r\n"), "the client is told: {answers}");
    honest.end(&service);
}

#[test]
fn whoever_does_not_read_the_answers_is_not_asked_for_more_requests() {
    let service = service(&["--store", "memory", "--keep-alive", "2"]);
    let honest = Honest::begin(&service);
    let before = memory(&service);
    let mut deaf = connect(&service);
    deaf.set_write_timeout(Some(Duration::from_millis(500))).expect("a time-out");
    let requests = "GET /v1/session HTTP/1.1\r\nhost: a\r\n\r\n".repeat(1000);
    let sent = (0..10_000).take_while(|_| deaf.write_all(requests.as_bytes()).is_ok()).count();
    assert!(sent < 10_000, "the service has read millions of requests whose answers nobody reads");
    let grown = memory(&service).saturating_sub(before);
    assert!(grown < 20, "{grown} MiB");
    let closed = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    eventually("the service closes the connection", || {
        deaf.write_all(b"GET").is_err_and(|error| closed.contains(&error.kind())).then_some(())
    });
    honest.end(&service);
}

#[test]
fn a_caller_without_a_key_is_answered_before_its_body_is_read() {
    let keys = crate::keys::KeysFile::new();
    keys.key("shop", "app");
    let service = keys.service(&["--body-timeout", "3600"]);
    let mut slow = connect(&service);
    slow.write_all(b"POST /v1/session/sign-in HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n").expect("it reads");
    let mut answer = [0; 1000];
    let length = slow.read(&mut answer).expect("an answer");
    assert_eq!(Answer::read(&answer[..length]).status, 401);
    let body = "x".repeat(TEN_MEGABYTES);
    assert_eq!(ask(&service, "POST", "/v1/session/sign-in", &[], &body).status, 401);
}
