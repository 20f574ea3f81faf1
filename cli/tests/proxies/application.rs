//! The application in the guide reads what the service says.

use std::process::{Child, Command};

use crate::browser::{Door, send};
use crate::endpoints::Family;
use crate::page::configuration;
use crate::proxy::of_pypi;
use crate::site::Site;
use crate::support::eventually;
use crate::support::redis_server::free_port;

/// The application, on a port of its own; killed when it is dropped.
struct Application {
    child: Child,
    port: u16,
}

impl Application {
    fn start() -> Application {
        let port = free_port();
        let serve = format!(
            "from wsgiref.simple_server import make_server\nmake_server('127.0.0.1', {port}, application).serve_forever()"
        );
        let program = format!("{}\n{serve}", configuration("What the application receives"));
        let mut command = Command::new("python3");
        command.args(["-c", &program]).env("PYTHONPATH", of_pypi("")).env("PYTHONDONTWRITEBYTECODE", "1");
        let child = command.spawn().expect("python3 is there: ./test installs it");
        let mut application = Application { child, port };
        eventually("the application listens", || {
            let ended = application.child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "the application has ended: ./test installs what it needs");
            Door::from(port).is_open().then_some(())
        });
        application
    }

    /// What it answers to a request with these headers.
    fn ask(&self, headers: &[(&str, &str)]) -> (u16, String) {
        let answer = send(self.port, "GET", "/", headers, "");
        (answer.status, answer.body)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_application_in_the_guide_knows_who_is_there() {
    let site = Site::start(&[]);
    let application = Application::start();
    for user in ["ada", "zoë", "a\"b\\c"] {
        let visitor = site.sign_in(user);
        let said = Family::Nginx.ask(&site, &[("Cookie", &visitor.cookie)]);
        assert_eq!(application.ask(&[("Cloakroom", said.header("cloakroom"))]), (200, format!("Hello {user}")));
    }
    let nobody = Family::Nginx.ask(&site, &[]);
    assert_eq!(application.ask(&[("Cloakroom", nobody.header("cloakroom"))]), (200, "Hello stranger".to_owned()));
    for headers in [vec![], vec![("Cloakroom", "")], vec![("Cloakroom", "?1"), ("Cloakroom", "?0")]] {
        assert_eq!(application.ask(&headers).0, 500, "{headers:?}");
    }
}
