//! The applications in the guide and beside the clients, as they stand.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::application::{Application, Language, build_go, node, php, python};
use crate::browser::Browser;
use crate::in_each_language;
use crate::support::redis_server::free_port;
use crate::support::service::service;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

in_each_language! {
    the_application_beside_the_client_is_the_one_in_the_guide_and_counts,
    each_client_has_its_licence_in_its_first_lines,
}

fn the_application_beside_the_client_is_the_one_in_the_guide_and_counts(language: Language) {
    let client = Path::new(ROOT).join("clients").join(language.client());
    let readme = fs::read_to_string(client.with_file_name("README.md")).expect("a README");
    let code = first_block(&readme);
    let guide = fs::read_to_string(Path::new(ROOT).join("docs/other-languages.md")).expect("the page");
    assert!(guide.contains(code), "docs/other-languages.md has another application:\n{code}");

    let service = service(&["--store", "memory"]);
    let program = code.replace("http://127.0.0.1:8090", &service.url(""));
    assert_ne!(program, code);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str| {
        fs::copy(&client, directory.path().join(client.file_name().expect("a name"))).expect("the client");
        fs::write(directory.path().join(name), &program).expect("a file");
        directory.path().join(name)
    };
    let port = free_port();
    let (mut command, _built): (Command, _) = match language {
        Language::Express => (node(&write("app.js")), None),
        Language::Wsgi | Language::Asgi => (python(&write("app.py")), None),
        Language::Php => (php(&write("app.php"), port), None),
        Language::Go => {
            let built = build_go(&program);
            (Command::new(built.path().join("application")), Some(built))
        }
    };
    command.env("PORT", port.to_string());
    let application = Application::run(command, Some(port));
    let mut browser = Browser::at(application.url());
    for visits in 1..=3 {
        let answer = browser.get("/");
        assert!(answer.body.contains(&format!("ou have been here {visits} times.\n")), "{}", answer.body);
    }
}

/// The code of the first block.
fn first_block(page: &str) -> &str {
    let (_, rest) = page.split_once("\n```").expect("a block");
    let (_, rest) = rest.split_once('\n').expect("a line");
    rest.split_once("```\n").expect("the block ends").0
}

fn each_client_has_its_licence_in_its_first_lines(language: Language) {
    let client = fs::read_to_string(Path::new(ROOT).join("clients").join(language.client())).expect("the client");
    assert!(client.lines().take(5).any(|line| line.ends_with("SPDX-License-Identifier: MIT OR Apache-2.0")));
}
