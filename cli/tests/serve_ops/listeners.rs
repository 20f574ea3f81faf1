//! Where the service listens, and how it ends.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

use crate::caller::{Answer, all_of, ask, ask_at, connect, request};
use crate::support::demo::{Demo, cloakroom};
use crate::support::operator::run;
use crate::support::service::service;

/// Starts the service with a socket in the file system as well.
fn with_socket(path: &Path) -> Demo {
    service(&["--store", "memory", "--listen", &format!("unix:{}", path.display())])
}

/// Asks through the socket who is there.
#[track_caller]
fn ask_through(path: &Path) -> Answer {
    let mut stream = UnixStream::connect(path).expect("the service listens");
    stream.write_all(request("GET", "/v1/session", &[], "").as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    Answer::read(&answer)
}

/// The address for administrators, as the service has said it.
fn for_administrators(service: &Demo) -> String {
    let said = service.stdout();
    let line = said.lines().find(|line| line.starts_with("For administrators: ")).expect("it is said");
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect("an address");
    url.trim_start_matches("http://").to_owned()
}

#[test]
fn a_socket_in_the_file_system_is_for_its_owner_and_group_and_is_removed_at_the_end() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("cloakroom.sock");
    let mut service = with_socket(&path);
    assert_eq!(ask_through(&path).body, "{\"state\":\"none\"}");
    assert_eq!(fs::metadata(&path).expect("a socket").permissions().mode() & 0o777, 0o660);
    assert!(service.stop().success());
    assert!(!path.exists());
}

#[test]
fn a_socket_that_a_dead_process_has_left_is_replaced_and_a_living_one_is_not() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("cloakroom.sock");
    let mut killed = with_socket(&path);
    killed.kill();
    assert!(path.exists(), "nobody could remove it");
    let living = with_socket(&path);
    assert_eq!(ask_through(&path).status, 200);
    let listen = format!("unix:{}", path.display());
    let refused = run(&["serve", "--store", "memory", "--listen", &listen], &[]);
    assert!(refused.code == 1 && refused.stderr.contains("another process listens"), "{refused:?}");
    assert_eq!(ask_through(&path).status, 200);
    drop(living);

    let file = directory.path().join("precious");
    fs::write(&file, "text").expect("written");
    let refused = run(&["serve", "--store", "memory", "--listen", &format!("unix:{}", file.display())], &[]);
    assert!(refused.code == 1 && refused.stderr.contains("not a socket"), "{refused:?}");
    assert_eq!(fs::read_to_string(&file).expect("it is still there"), "text");
}

#[test]
fn administrators_with_an_address_of_their_own_are_answered_nowhere_else() {
    let service = service(&["--store", "memory", "--admin-listen", "127.0.0.1:0"]);
    let admin = for_administrators(&service);
    let paths = ["/v1/session", "/v1/users/ada/sessions", "/metrics", "/livez", "/readyz"];
    let statuses =
        paths.map(|path| (ask(&service, "GET", path, &[], "").status, ask_at(&admin, "GET", path, &[], "").status));
    assert_eq!(statuses, [(200, 404), (404, 200), (404, 200), (200, 200), (200, 200)]);
}

#[test]
fn a_request_that_has_begun_is_answered_before_the_end() {
    let mut service = service(&["--store", "memory"]);
    let (mut busy, idle) = (connect(&service), connect(&service));
    let whole = request("POST", "/v1/session/sign-in", &["expect: 100-continue"], r#"{"user":"ada"}"#);
    let (first, last) = whole.split_at(whole.len() - 5);
    busy.write_all(first.as_bytes()).expect("it reads");
    let mut begun = [0; 25];
    busy.read_exact(&mut begun).expect("the request has begun");
    assert_eq!(&begun, b"HTTP/1.1 100 Continue\r\n\r\n");
    service.signal("-TERM");
    assert_eq!(all_of(idle), b"", "a connection without a request is closed immediately");
    busy.write_all(last.as_bytes()).expect("it reads on");
    assert_eq!(Answer::read(&all_of(busy)).status, 200);
    assert!(service.stop().success());
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let mut service = service(&["--store", "memory"]);
    let mut idle: Vec<_> = (0..10).map(|_| connect(&service)).collect();
    for stream in &mut idle {
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").expect("it reads");
        assert!(stream.read(&mut [0; 500]).expect("an answer") > 0);
    }
    assert!(service.stop().success());
    // had it waited for them to the last moment, it would say so
    assert_eq!(service.stderr(), "");
    drop(idle);
}

#[test]
fn a_request_that_never_ends_does_not_hold_up_the_end() {
    let mut service = service(&["--store", "memory", "--body-timeout", "3600"]);
    let mut busy = connect(&service);
    busy.write_all(b"POST /v1/session/sign-in HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n").expect("it reads");
    busy.write_all(b"content-type: application/json\r\n\r\n{").expect("it reads");
    assert!(service.stop().success());
    assert!(service.stderr().contains("some requests were not answered before the end"));
}

#[test]
fn a_service_manager_is_told_when_the_service_is_ready_and_when_it_stops() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    let told = || {
        let mut text = [0; 100];
        let length = manager.recv(&mut text).expect("it is told");
        String::from_utf8_lossy(&text[..length]).trim_end().to_owned()
    };
    let mut command = cloakroom(&["serve", "--store", "memory", "--listen", "127.0.0.1:0"]);
    let mut service = Demo::by({
        command.env("NOTIFY_SOCKET", &path);
        command
    });
    assert_eq!(told(), "READY=1");
    assert!(service.stop().success());
    assert_eq!(told(), "STOPPING=1");
}
