//! Applications of these tests, each in its language.

use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::eventually;
use crate::support::redis_server::free_port;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/languages/applications");
const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../clients");
const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/peers");

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Language {
    Express,
    Wsgi,
    Asgi,
    Php,
    Go,
}

/// Mounts the scenarios once for each client.
#[macro_export]
macro_rules! in_each_language {
    ($($scenario:ident,)*) => {
        $crate::in_each_language!(@ express Express $($scenario)*);
        $crate::in_each_language!(@ wsgi Wsgi $($scenario)*);
        $crate::in_each_language!(@ asgi Asgi $($scenario)*);
        $crate::in_each_language!(@ php Php $($scenario)*);
        $crate::in_each_language!(@ go Go $($scenario)*);
    };
    (@ $module:ident $language:ident $($scenario:ident)*) => {
        mod $module {
            $(#[test]
            fn $scenario() {
                super::$scenario($crate::application::Language::$language);
            })*
        }
    };
}

/// An application that runs; it and its workers are killed when it is dropped.
pub(crate) struct Application {
    child: Child,
    url: String,
    said: tempfile::TempDir,
    /// Where it was built.
    program: Option<tempfile::TempDir>,
}

impl Application {
    /// Starts the application of the tests in front of the service at this address.
    pub(crate) fn start(language: Language, service: &str) -> Application {
        Application::start_with_key(language, service, "")
    }

    pub(crate) fn start_with_key(language: Language, service: &str, key: &str) -> Application {
        let client = Path::new(CLIENTS).join(language.client());
        let set = |mut command: Command| {
            command.env("CLIENT", client).env("SERVICE", service).env("KEY", key);
            command
        };
        match language {
            Language::Express => Application::run(set(node("express.js".as_ref())), None),
            Language::Wsgi => Application::run(set(python("wsgi.py".as_ref())), None),
            Language::Asgi => Application::run(set(python("asgi.py".as_ref())), None),
            Language::Php => {
                let port = free_port();
                Application::run(set(php("application.php".as_ref(), port)), Some(port))
            }
            Language::Go => {
                let main = fs::read_to_string(Path::new(HERE).join("go/main.go")).expect("the application");
                let program = build_go(&main);
                let mut application = Application::run(set(Command::new(program.path().join("application"))), None);
                application.program = Some(program);
                application
            }
        }
    }

    /// Runs a command that prints the application's address, or listens on this port.
    pub(crate) fn run(mut command: Command, port: Option<u16>) -> Application {
        let said = tempfile::tempdir().expect("a temporary directory");
        let file = |name| File::create(said.path().join(name)).expect("a file");
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr")).process_group(0).spawn();
        let child = child.unwrap_or_else(|error| panic!("{program}: {error}. Install it, or run ./test, which does"));
        let mut application = Application { child, url: String::new(), said, program: None };
        application.url = eventually("the application listens", || {
            if let Some(status) = application.child.try_wait().expect("it is our child") {
                panic!("the application ended with {status} (./test installs what it needs): {}", application.log());
            }
            match port {
                Some(port) => TcpStream::connect(("127.0.0.1", port)).ok().map(|_| format!("http://127.0.0.1:{port}")),
                None => application.address(),
            }
        });
        application
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// All that it has written.
    pub(crate) fn log(&self) -> String {
        ["stdout", "stderr"].map(|name| fs::read_to_string(self.said.path().join(name)).expect("a file")).concat()
    }

    fn address(&self) -> Option<String> {
        let line = self.log();
        let (address, _) = line.strip_prefix("http://")?.split_once("/\n")?;
        Some(format!("http://{address}"))
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // its workers, too: the whole group is ours
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

impl Language {
    pub(crate) const ALL: [Language; 5] =
        [Language::Express, Language::Wsgi, Language::Asgi, Language::Php, Language::Go];

    /// The file that an application takes.
    pub(crate) fn client(self) -> &'static str {
        match self {
            Language::Express => "node/cloakroom.js",
            Language::Wsgi | Language::Asgi => "python/cloakroom.py",
            Language::Php => "php/cloakroom.php",
            Language::Go => "go/cloakroom.go",
        }
    }
}

pub(crate) fn node(script: &Path) -> Command {
    let mut command = Command::new("node");
    command.arg(script).current_dir(HERE).env("NODE_PATH", Path::new(PEERS).join("node_modules"));
    command.env("NODE_ENV", "production");
    command
}

pub(crate) fn python(script: &Path) -> Command {
    let mut command = Command::new("python3");
    command.arg(script).current_dir(HERE).env("PYTHONPATH", Path::new(PEERS).join("asgi"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

pub(crate) fn php(script: &Path, port: u16) -> Command {
    let mut command = Command::new("php");
    command.args(["-S", &format!("127.0.0.1:{port}")]).arg(script).current_dir(HERE);
    command.env("PHP_CLI_SERVER_WORKERS", "8");
    command
}

/// Builds an application of one file and the client, and returns the directory in which it is.
pub(crate) fn build_go(main: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path();
    fs::create_dir(path.join("cloakroom")).expect("a directory");
    fs::copy(Path::new(CLIENTS).join("go/cloakroom.go"), path.join("cloakroom/cloakroom.go")).expect("the client");
    fs::write(path.join("main.go"), main).expect("a file");
    fs::write(path.join("go.mod"), "module application\n\ngo 1.19\n").expect("a file");
    let mut go = Command::new("go");
    go.args(["build", "-o", "application", "."]).current_dir(path).env("GOFLAGS", "-mod=mod");
    go.env("GOCACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/go-cache")).env("GO111MODULE", "on");
    let built = go.output().unwrap_or_else(|error| panic!("go: {error}. Install it, or run ./test, which does"));
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    directory
}
