//! The service is away, does not answer, is at a socket, or asks for a key.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

use crate::application::{Application, Language};
use crate::browser::{Browser, Json};
use crate::in_each_language;
use crate::support::demo::{Demo, cloakroom};
use crate::support::redis_server::free_port;
use crate::support::service::service;

in_each_language! {
    without_the_service_a_visitor_is_answered_503_and_never_anonymous,
    a_sign_in_whose_answer_is_lost_is_asked_for_once_more,
    a_service_at_a_unix_socket_is_asked,
    a_wrong_key_is_the_operators_fault_and_not_the_visitors,
    a_service_at_https_is_sent_nothing_in_plain_text,
}

fn without_the_service_a_visitor_is_answered_503_and_never_anonymous(language: Language) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = directory.path().join("sessions");
    let address = format!("127.0.0.1:{}", free_port());
    let serve = || Demo::by(cloakroom(&["serve", "--listen", &address, "--store", store.to_str().expect("UTF-8")]));
    let mut service = serve();
    let application = Application::start(language, &service.url(""));
    let mut browser = Browser::at(application.url());
    browser.post("/sign-in?user=ada").ok_json();
    let cookie = browser.cookie.clone();
    service.kill();
    for path in ["/show", "/count", "/set?name=a&value=1", "/sign-out", "/sign-in?user=eve", "/devices"] {
        let method = if path == "/devices" { "GET" } else { "POST" };
        let answer = browser.send(method, path, &[]);
        assert_eq!(answer.status, 503, "{path}: {}", answer.body);
        assert!(answer.sets_no_cookie(), "{path}");
    }
    let caught = browser.post("/caught");
    // Express reads the session before the handler begins
    assert_eq!(caught.status, 503);
    if language != Language::Express {
        assert_eq!(serde_json::from_str::<Value>(&caught.body).expect("JSON"), json!({ "caught": "no-answer" }));
    }
    // somebody who has no cookie has no session, and stores nothing either
    assert_eq!(Browser::at(application.url()).post("/count").status, 503);
    drop(service);
    let _service = serve();
    assert_eq!(browser.session(), json!({ "user": "ada", "fields": {} }));
    assert_eq!(browser.cookie, cookie);
    let log = application.log();
    let token = cookie.as_deref().and_then(|cookie| cookie.split_once('=')).expect("a cookie").1.to_owned();
    assert!(!log.contains(&token), "{log}");
}

/// Hands on one question for each connection, but loses the answer to the first sign-in.
fn losing_an_answer(port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let own_port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        let mut is_lost = false;
        for browser in listener.incoming() {
            let mut browser = browser.expect("a connection");
            let question = whole_question(&mut browser);
            let mut answer = Vec::new();
            let mut service = TcpStream::connect(("127.0.0.1", port)).expect("the service");
            service.write_all(&question).expect("it is sent");
            service.read_to_end(&mut answer).expect("an answer");
            if !is_lost && question.starts_with(b"POST /v1/session/sign-in ") {
                is_lost = true;
            } else {
                browser.write_all(&answer).expect("the answer is handed on");
            }
        }
    });
    own_port
}

/// Reads a question, and asks to close the connection after it.
fn whole_question(browser: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let length = browser.read(&mut buffer).expect("a question");
        read.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if length == 0 {
                return read;
            }
            continue;
        };
        let head = head.to_ascii_lowercase();
        let promised = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        if body.len() >= promised {
            let (first, rest) = text.split_once("\r\n").expect("a line");
            let rest = rest.replace("Connection: keep-alive\r\n", "").replace("connection: keep-alive\r\n", "");
            return format!("{first}\r\nconnection: close\r\n{rest}").into_bytes();
        }
    }
}

fn a_sign_in_whose_answer_is_lost_is_asked_for_once_more(language: Language) {
    let service = service(&["--store", "memory"]);
    let port = service.url("").rsplit_once(':').expect("a port").1.parse().expect("a port");
    let application = Application::start(language, &format!("http://127.0.0.1:{}", losing_an_answer(port)));
    let mut browser = Browser::at(application.url());
    browser.post("/count").ok_json();
    browser.post("/sign-in?user=ada").ok_json();
    assert_eq!(browser.session(), json!({ "user": "ada", "fields": { "count": 1 } }));
    assert_eq!(browser.get("/devices").ok_json()["devices"].as_array().expect("a list").len(), 1);
}

fn a_service_at_a_unix_socket_is_asked(language: Language) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = format!("unix:{}", directory.path().join("cloakroom.sock").display());
    let _service = service(&["--listen", &socket, "--store", "memory"]);
    let application = Application::start(language, &socket);
    let mut browser = Browser::at(application.url());
    for count in 1..=3 {
        assert_eq!(browser.post("/count").ok_json(), json!({ "count": count }));
    }
}

fn a_wrong_key_is_the_operators_fault_and_not_the_visitors(language: Language) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let keys = directory.path().join("keys.toml");
    let keys = keys.to_str().expect("UTF-8");
    let key =
        cloakroom(&["key", "new", "--keys", keys, "--name", "shop", "--rights", "app"]).output().expect("it runs");
    let key = String::from_utf8(key.stdout).expect("UTF-8");
    let service = service(&["--keys", keys, "--store", "memory"]);
    let application = Application::start_with_key(language, &service.url(""), key.trim());
    let mut browser = Browser::at(application.url());
    browser.post("/count").ok_json();
    let mistaken = Application::start_with_key(language, &service.url(""), "wrong");
    assert_eq!(browser.to(mistaken.url()).post("/show").status, 503);
    assert_eq!(browser.fields(), json!({ "count": 1 }));
}

fn a_service_at_https_is_sent_nothing_in_plain_text(language: Language) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    let application = Application::start_with_key(language, &url, "secret");
    let asked = thread::spawn(move || {
        let (mut caller, _) = listener.accept().expect("a connection");
        let mut first = [0];
        caller.read_exact(&mut first).expect("the first byte");
        first[0]
    });
    assert_eq!(Browser::at(application.url()).post("/count").status, 503);
    let handshake = 22; // the type of the first TLS record
    assert_eq!(asked.join().expect("somebody asks"), handshake);
}
