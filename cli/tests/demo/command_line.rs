//! Flags, exit codes, and what must never be said.

use std::net::{TcpListener, TcpStream};

use crate::support::demo::{Demo, cloakroom};
use crate::support::redis_server::RedisServer;
use crate::support::visitor::Visitor;

const PASSWORD: &str = "correct-horse-battery";

type Flags<'a> = &'a [&'a str];
type Variables<'a> = &'a [(&'a str, &'a str)];

/// The exit code, and everything that was said.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String) {
    let done = cloakroom(arguments).envs(environment.iter().copied()).output().expect("the program runs");
    let said = [done.stdout, done.stderr].map(|said| String::from_utf8(said).expect("UTF-8")).concat();
    (done.status.code().expect("an exit code"), said)
}

/// A port on which nobody listens.
fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port().to_string()
}

#[test]
fn the_first_line_names_the_address_and_the_store_and_is_the_only_one() {
    let redis = RedisServer::start();
    let in_redis = format!("redis 127.0.0.1:{}/0", redis.port());
    for (demo, store) in [(Demo::in_memory(), "memory"), (Demo::on(&redis), in_redis.as_str())] {
        Visitor::of(&demo).login("andrew", 60);
        assert_eq!(demo.stdout(), format!("Cloakroom demo: {}  (store: {store})\n", demo.url("/")));
    }
}

#[test]
fn the_store_is_chosen_by_flags_before_the_environment() {
    let redis = RedisServer::start();
    let (url, port) = (redis.url(), redis.port().to_string());
    let shown = format!("(store: redis 127.0.0.1:{port}/");
    let nowhere = format!("redis://127.0.0.1:{}", closed_port());
    let dir = tempfile::tempdir().expect("a directory");
    let here = dir.path().to_str().expect("UTF-8");
    let cases: [(&str, &[&str], &str); 7] = [
        ("", &[], "/cloakroom/sessions)"),
        (&url, &[], &shown),
        (&nowhere, &["--store", "memory"], "(store: memory)"),
        (&nowhere, &["--store", here], &format!("(store: {here})")),
        (&nowhere, &["--redis-url", &format!("{url}/3")], &format!("{shown}3)")),
        (&nowhere, &["--redis-port", &port], &shown),
        (&nowhere, &["--redis-host", "127.0.0.1", "--redis-port", &port], &shown),
    ];
    for (environment, flags, store) in cases {
        let demo = Demo::start_in(&[("REDIS_URL", environment)], flags);
        assert!(demo.stdout().contains(store), "{environment} {flags:?}: {}", demo.stdout());
        assert_eq!(Visitor::of(&demo).login("andrew", 60)["authenticated"], true);
    }
}

#[test]
fn flags_that_cannot_work_are_exit_code_2_and_the_error_says_why() {
    let redis = ["demo", "--port", "0", "--redis-url"];
    let cases: [(&[&str], &str); 24] = [
        (&[], "Usage"),
        (&["demon"], "demon"),
        (&["demo", "--ttl", "90", "--absolute-lifetime", "60"], "--ttl"),
        (&["demo", "--allowed-host", "a b"], "--allowed-host"),
        (&["demo", "--allowed-host", "shop.example:80"], "without a scheme or a port"),
        (&["demo", "--port", "65536"], "65536"),
        (&["demo", "--port", "http"], "--port"),
        (&["demo", "--store", ""], "a value is required"),
        (&["demo", "--store", "memory", "--redis-port", "6379"], "cannot be used with"),
        (&["demo", "--redis-url", "redis://127.0.0.1", "--redis-host", "127.0.0.1"], "cannot be used with"),
        (&[&redis[..], &["127.0.0.1:6379"]].concat(), "URL"),
        (&[&redis[..], &[""]].concat(), "URL"),
        (&[&redis[..], &["http://127.0.0.1"]].concat(), "redis://"),
        (&[&redis[..], &["redis://:correct-horse-battery@127.0.0.1"]].concat(), "REDIS_PASSWORD"),
        (
            &[&redis[..], &["unix:///run/redis.sock?pass=correct-horse-battery"]].concat(),
            "can see the flags of a process",
        ),
        (&[&redis[..], &["redis://127.0.0.1", "--redis-username", "ann"]].concat(), "--redis-password-file"),
        (&[&redis[..], &["redis://127.0.0.1", "--redis-password-file", "/nowhere/it/is"]].concat(), "/nowhere/it/is"),
        (&[&redis[..], &["redis://127.0.0.1", "--tls-ca", "/etc/hostname"]].concat(), "rediss://"),
        (&[&redis[..], &["rediss://127.0.0.1", "--tls-cert", "/etc/hostname"]].concat(), "--tls-key"),
        (&[&redis[..], &["rediss://127.0.0.1", "--tls-ca", "/dev/null"]].concat(), "--tls-ca must be PEM"),
        (&[&redis[..], &["redis://127.0.0.1?timeout=5"]].concat(), "timeout"),
        (&[&redis[..], &["redis://127.0.0.1/one"]].concat(), "redis url"),
        (&[&redis[..], &["redis://127.0.0.1", "--prefix", ""]].concat(), "prefix"),
        (&[&redis[..], &["redis://127.0.0.1", "--prefix", "a b*"]].concat(), "prefix"),
    ];
    for (arguments, why) in cases {
        let (code, said) = run(arguments, &[]);
        assert_eq!(code, 2, "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said}");
        assert!(!said.contains(PASSWORD), "{said}");
    }
}

#[test]
fn plain_text_to_another_machine_is_refused_before_a_word_is_sent() {
    let (code, said) = run(&["demo", "--port", "0"], &[("REDIS_URL", &format!("redis://:{PASSWORD}@192.0.2.1"))]);
    assert!(code == 2 && said.contains("plain text") && !said.contains(PASSWORD), "{said}");
    for flags in [
        &["--redis-url", "redis://cache.example:6379/0"][..],
        &["--redis-url", "redis://127.0.0.1.example"],
        &["--redis-url", "redis://0.0.0.0"],
        &["--redis-host", "192.0.2.1"],
        &["--redis-host", "2001:db8::1", "--redis-port", "7000"],
    ] {
        let (code, said) = run(&[&["demo", "--port", "0"], flags].concat(), &[]);
        assert_eq!(code, 2, "{flags:?}: {said}");
        assert!(said.contains("plain text") && said.contains("--accept-plain-text"), "{flags:?}: {said}");
        assert!(!said.contains("accept_plain_text"), "{said}");
    }
}

#[test]
fn a_store_that_is_not_available_is_exit_code_4() {
    let redis = RedisServer::start();
    let wrong_db = format!("{}/99", redis.url());
    let (port, open_port) = (closed_port(), redis.port().to_string());
    let wrong_password = &[("REDIS_PASSWORD", PASSWORD)][..];
    let cases: [(Flags, Variables); 4] = [
        (&["--redis-port", &port], &[]),
        (&["--redis-url", &wrong_db], &[]),
        (&["--redis-port", &open_port], wrong_password),
        (&["--redis-url", &format!("rediss://127.0.0.1:{open_port}")], &[]),
    ];
    for (flags, environment) in cases {
        let (code, said) = run(&[&["demo", "--port", "0"], flags].concat(), environment);
        assert_eq!(code, 4, "{flags:?}: {said}");
        assert!(said.starts_with("cloakroom: ") && !said.contains("Cloakroom demo:"), "{said}");
        assert!(!said.contains(PASSWORD), "{said}");
    }
    let (code, _) = run(&["demo", "--port", "0"], &[("REDIS_URL", &format!("redis://127.0.0.1:{port}"))]);
    assert_eq!(code, 4, "named by the environment");
}

#[test]
fn a_port_that_is_taken_is_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let (code, said) = run(&["demo", "--port", &port, "--store", "memory"], &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&format!("cannot listen on 127.0.0.1, port {port}")), "{said}");
}

#[test]
fn help_and_version_are_done() {
    let (code, said) = run(&["--help"], &[]);
    assert!(code == 0 && said.contains("demo") && said.contains("4 the store is not available"), "{said}");
    let (code, said) = run(&["demo", "--help"], &[]);
    let flags = [
        "--host",
        "--allowed-host",
        "--ttl",
        "--port",
        "--store",
        "--redis-url",
        "--redis-host",
        "--redis-port",
        "--prefix",
        "--plain-tokens",
    ];
    for flag in flags {
        assert!(code == 0 && said.contains(flag), "{flag} in {said}");
    }
    let (code, said) = run(&["--version"], &[]);
    assert!(code == 0 && said.contains(env!("CARGO_PKG_VERSION")), "{said}");
}

#[test]
fn asked_to_stop_it_stops_and_is_done() {
    let mut demo = Demo::in_memory();
    let address = demo.url("").trim_start_matches("http://").to_owned();
    // a browser keeps its connection open
    let _idle = TcpStream::connect(&address).expect("it listens");
    Visitor::of(&demo).login("andrew", 60);
    assert_eq!(demo.stop().code(), Some(0));
    assert!(TcpStream::connect(&address).is_err(), "nobody listens any more");
}

#[test]
fn the_password_of_redis_is_shown_nowhere() {
    let redis = RedisServer::start();
    let set = |name: &str, value: &str| {
        let _: () = redis::cmd("CONFIG").arg("SET").arg(name).arg(value).query(&mut redis.client()).unwrap();
    };
    set("requirepass", PASSWORD);
    let url = format!("redis://default:{PASSWORD}@127.0.0.1:{}/2", redis.port());
    let bare_url = format!("redis://127.0.0.1:{}/2", redis.port());
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), format!("{PASSWORD}\n")).expect("it is written");
    let file = file.path().to_str().expect("UTF-8");
    let everything = ("RUST_LOG", "trace");
    let by_name = ["--redis-url", &bare_url, "--redis-username", "default"];
    let cases: [(Variables, Flags); 3] = [
        (&[everything, ("REDIS_URL", &url)], &[]),
        (&[everything, ("REDIS_PASSWORD", PASSWORD)], &by_name),
        (&[everything, ("REDIS_PASSWORD", "another")], &[&by_name[..], &["--redis-password-file", file]].concat()),
    ];
    for (environment, flags) in cases {
        let demo = Demo::start_in(environment, flags);
        let mut visitor = Visitor::of(&demo);
        let mut said = visitor.login("andrew", 60).to_string();
        let page = visitor.get("/").body;
        assert!(page.contains(&format!("redis-cli -p {} -n 2 --user default --askpass HGETALL", redis.port())));
        said += &(page + &visitor.get("/session").body + &visitor.post("/logout", &[]).body);
        said += &(demo.stdout() + &demo.stderr() + &demo.command_line());
        assert!(!said.contains(PASSWORD));
    }

    // nor when Redis refuses it
    let wrong = format!("redis://default:not-{PASSWORD}@127.0.0.1:{}", redis.port());
    let (code, said) = run(&["demo", "--port", "0"], &[everything, ("REDIS_URL", &wrong)]);
    assert_eq!(code, 4, "{said}");
    assert!(!said.contains(PASSWORD));
}
