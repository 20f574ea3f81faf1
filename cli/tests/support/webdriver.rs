//! ChromeDriver, and the few words of WebDriver (<https://www.w3.org/TR/webdriver2/>) that the tests need. The protocol
//! is JSON over HTTP: spoken directly, it costs less than a client with its dependencies.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use ureq::Agent;

use super::{eventually, visitor};

const HOW_TO_GET_IT: &str = "`apt-get install chromium chromium-driver`, or run ./test, which installs it";

/// The driver, the browser that it starts and whatever that starts. When the standard input ends, which it also does
/// when the test is killed, all of them do.
const DRIVER: &str = "chromedriver --port=0 --log-level=SEVERE & read -r _; kill -KILL $!; wait; kill -KILL 0";

const BROWSERS: [&str; 6] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/// One browser with a profile of its own. Everything that it writes goes to a directory that is removed with it.
pub struct WebDriver {
    agent: Agent,
    session: String,
    driver: Child,
    _home: tempfile::TempDir,
}

/// Why a command did not work: WebDriver's error code, such as `no such element`, and its message.
#[derive(Debug)]
pub struct Refused {
    pub code: String,
    pub message: String,
}

impl WebDriver {
    /// Starts a browser with these preferences of its profile. Fails, and says how to get one, where there is none.
    pub fn start(preferences: Value) -> WebDriver {
        let browser = BROWSERS.into_iter().find_map(which).unwrap_or_else(|| needs("Chromium or Chrome"));
        which("chromedriver").unwrap_or_else(|| needs("chromedriver"));
        let home = tempfile::tempdir().expect("a temporary directory");
        let driver = spawn_driver(home.path());
        let url = format!("http://127.0.0.1:{}/session", port(home.path()));
        let mut driver = WebDriver { agent: visitor::agent(), session: url, driver, _home: home };
        driver.begin(&browser, preferences);
        driver
    }

    pub fn get(&self, path: &str) -> Result<Value, Refused> {
        self.answer(self.agent.get(format!("{}{path}", self.session)).call())
    }

    pub fn post(&self, path: &str, body: Value) -> Result<Value, Refused> {
        self.answer(self.agent.post(format!("{}{path}", self.session)).send_json(body))
    }

    fn begin(&mut self, browser: &str, preferences: Value) {
        let profile = format!("--user-data-dir={}", self._home.path().join("profile").display());
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1200,900",
            &profile,
        ];
        let options = json!({ "binary": browser, "args": arguments, "prefs": preferences });
        let capabilities = json!({ "alwaysMatch": { "goog:chromeOptions": options } });
        let begun = self.post("", json!({ "capabilities": capabilities })).expect("the browser starts");
        self.session = format!("{}/{}", self.session, begun["sessionId"].as_str().expect("an id"));
    }

    fn answer(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, Refused> {
        let mut answer = answer.expect("chromedriver answers");
        let limit = 64 * 1024 * 1024; // a screenshot is larger than what is usual
        let body: Value = answer.body_mut().with_config().limit(limit).read_json().expect("JSON");
        let value = body["value"].clone();
        if answer.status().is_success() {
            return Ok(value);
        }
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Err(Refused { code: text("error"), message: text("message") })
    }
}

impl Drop for WebDriver {
    fn drop(&mut self) {
        // the browser ends in good order where it can; what is left is killed
        let _ = self.agent.delete(&self.session).call();
        drop(self.driver.stdin.take());
        let _ = self.driver.wait();
    }
}

fn spawn_driver(home: &Path) -> Child {
    let said = File::create(home.join("said")).expect("a file");
    let mut command = Command::new("sh");
    command.args(["-c", DRIVER]).process_group(0).stdin(Stdio::piped()).stdout(said).stderr(Stdio::null());
    for variable in ["HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
        command.env(variable, home);
    }
    command.spawn().expect("sh runs")
}

/// The free port that the driver picked.
fn port(home: &Path) -> u16 {
    eventually("chromedriver says its port", || {
        let said = fs::read_to_string(home.join("said")).ok()?;
        let (_, after) = said.split_once("successfully on port ")?;
        after.split_once('.')?.0.parse().ok()
    })
}

fn which(program: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // joining an absolute path gives that path
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.map(|file| file.display().to_string())
}

fn needs<T>(what: &str) -> T {
    panic!("these tests need {what}: {HOW_TO_GET_IT}")
}
