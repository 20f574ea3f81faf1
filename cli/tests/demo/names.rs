//! The demo answers to its own names only: a page of another site whose name was made to lead here gets nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::demo::Demo;
use crate::support::visitor::Visitor;

/// What is answered to these lines, sent as they are.
fn raw(demo: &Demo, lines: &[&str]) -> String {
    let address = demo.url("").trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = [lines, &["Connection: close", "", ""]].concat().join("\r\n");
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn status(demo: &Demo, lines: &[&str]) -> u16 {
    let answer = raw(demo, lines);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn a_page_of_another_site_whose_name_leads_here_gets_no_answer_on_any_route() {
    let demo = Demo::in_memory();
    let mut visitor = Visitor::of(&demo);
    visitor.login("andrew", 60);
    let mut routes: Vec<_> = ["/", "/index.html", "/session", "/devices", "/forged", "/assets/demo.js", "/nothing"]
        .map(|path| ("GET", path))
        .into();
    routes.extend(
        ["/login", "/increment", "/ttl", "/logout", "/rotate", "/devices/x/sign-out"].map(|path| ("POST", path)),
    );
    routes.extend([("DELETE", "/devices/x"), ("PUT", "/session"), ("OPTIONS", "/session")]);
    let port = demo.url("").rsplit_once(':').expect("a port").1.to_owned();
    let origin = format!("http://evil.example:{port}");
    for (method, path) in routes {
        // as a browser sends it which takes the demo for a part of that site
        let headers = [
            ("host", &origin["http://".len()..]),
            ("origin", &origin),
            ("sec-fetch-site", "same-origin"),
            ("upgrade", "websocket"),
        ];
        for headers in [&headers[..3], &headers] {
            let answer = visitor.send(method, path, headers, "");
            assert!(answer.error(421).contains("--allowed-host"), "{method} {path}");
            assert!(answer.sets_no_cookie() && !answer.body.contains("andrew"), "{method} {path}");
        }
    }
    assert_eq!(visitor.peek()["session"]["page_views"], "1");
}

#[test]
fn it_answers_to_this_machines_names_and_its_addresses_and_those_that_it_is_told() {
    let demo = Demo::start(&["--store", "memory", "--allowed-host", "Demo.example", "--allowed-host", "other.example"]);
    let mut visitor = Visitor::of(&demo);
    for host in
        ["localhost:1", "LOCALHOST", "127.0.0.1", "[::1]:8080", "demo.example:80", "other.example.", "demo.example"]
    {
        assert_eq!(visitor.send("GET", "/session", &[("host", host)], "").status, 200, "{host}");
    }
    for host in ["sub.demo.example", "localhost.evil.example", "127.0.0.2", "192.0.2.7", "127.0.0.1.evil.example"] {
        visitor.send("GET", "/session", &[("host", host)], "").error(421);
    }
    // to listen on every address is to be asked for by any of them
    let demo = Demo::start(&["--store", "memory", "--host", "0.0.0.0"]);
    for (host, expected) in [("192.0.2.7", 200), ("0.0.0.0", 200), ("localhost", 200), ("evil.example", 421)] {
        assert_eq!(status(&demo, &["GET /session HTTP/1.1", &format!("Host: {host}")]), expected, "{host}");
    }
    let demo = Demo::start(&["--store", "memory", "--host", "127.0.0.2"]);
    for (host, expected) in [("127.0.0.2", 200), ("localhost", 200), ("127.0.0.3", 421)] {
        assert_eq!(status(&demo, &["GET /session HTTP/1.1", &format!("Host: {host}")]), expected, "{host}");
    }
}

#[test]
fn a_request_that_names_no_host_or_two_gets_no_answer() {
    let demo = Demo::in_memory();
    for lines in [
        &["GET /session HTTP/1.0"][..],
        &["GET /session HTTP/1.1"],
        &["GET /session HTTP/1.1", "Host:"],
        &["GET /session HTTP/1.1", "Host: localhost", "Host: evil.example"],
        &["GET /session HTTP/1.1", "Host: localhost@evil.example"],
        &["GET http://evil.example/session HTTP/1.1", "Host: localhost"],
        &["GET http://localhost/session HTTP/1.1", "Host: evil.example"],
    ] {
        let status = status(&demo, lines);
        assert!([400, 421].contains(&status), "{lines:?}: {status}");
    }
    assert_eq!(status(&demo, &["GET http://localhost/session HTTP/1.1", "Host: localhost"]), 200);
}
