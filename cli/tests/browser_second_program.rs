//! The session of the demo in a second program, which is written in another language.

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::support::browser::Browser;
use crate::support::demo::Demo;

/// `examples/second_program.py`, killed when it is dropped.
struct SecondProgram {
    child: Child,
    url: String,
}

impl SecondProgram {
    fn start(service: &str) -> SecondProgram {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/second_program.py");
        let mut command = Command::new("python3");
        command.args([script, service, "0"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("this needs python3: `apt-get install python3`");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        let url = line.split_whitespace().last().expect("an address").to_owned();
        SecondProgram { child, url }
    }
}

impl Drop for SecondProgram {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn browser_has_the_session_of_the_demo_in_a_second_program() {
    let demo = Demo::start(&["--store", "memory", "--service", "127.0.0.1:0"]);
    let said = demo.stdout();
    let service = said
        .split_whitespace()
        .filter(|word| word.starts_with("http://"))
        .nth(1)
        .expect("a second address")
        .trim_end_matches('/');
    let second = SecondProgram::start(service);
    let browser = Browser::open();
    browser.go(&demo.url("/"));
    browser.fill("#username", "andrew");
    browser.click("#login");
    browser.wait_for_attribute("#ticket", "data-state", "live");
    assert!(browser.wait_for("#second", |text| text.contains("second_program.py")).contains(service));

    browser.go(&second.url);
    browser.wait_for_text("#user", "andrew");
    browser.wait_for_text("#page-views", "1");
    browser.click("#count");
    browser.wait_for_text("#page-views", "2");

    browser.go(&demo.url("/"));
    browser.wait_for_text("#page-views", "2");
    browser.click("#logout");
    browser.wait_for("#login", |_| true);
    browser.go(&second.url);
    browser.wait_for_text("#user", "nobody");
}

#[test]
fn the_demo_answers_no_other_machine_without_a_key() {
    let said = support::operator::run(&["demo", "--store", "memory", "--port", "0", "--service", "0.0.0.0:0"], &[]);
    assert!(said.code == 2 && said.stderr.contains("--service"), "{said:?}");
}
