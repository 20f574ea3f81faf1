//! A real browser, headless, with a profile of its own; gone without a trace when it is dropped.
//!
//! Whatever it is asked for may still be on its way to the screen: the words here wait, or are asked again by
//! [`eventually`].

use std::cell::RefCell;

use base64::Engine as _;
use serde_json::{Value, json};

use super::webdriver::{Refused, WebDriver};
use super::{eventually, eventually_or};

const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// What an element or a script can answer while the page is replacing the one that was asked about.
const PASSING: [&str; 4] =
    ["no such element", "stale element reference", "element not interactable", "element click intercepted"];

/// How ChromeDriver says in its own words that the page was being replaced; it has no code for it.
const NAVIGATING: [&str; 3] = ["aborted by navigation", "does not belong to the document", "execution context"];

pub struct Browser {
    driver: WebDriver,
}

impl Browser {
    /// A fresh one. Any number of them can be open.
    pub fn open() -> Browser {
        Browser { driver: WebDriver::start(json!({})) }
    }

    /// One that runs no script of any page.
    pub fn without_javascript() -> Browser {
        Browser { driver: WebDriver::start(json!({ "profile.managed_default_content_settings.javascript": 2 })) }
    }

    /// One that is told whether a frame of another site may have a cookie that is not partitioned.
    pub fn with_cookies_of_other_sites(allowed: bool) -> Browser {
        let mode = if allowed { 0 } else { 1 };
        Browser { driver: WebDriver::start(json!({ "profile.cookie_controls_mode": mode })) }
    }

    pub fn go(&self, url: &str) {
        self.driver.post("/url", json!({ "url": url })).expect("the page loads");
    }

    pub fn reload(&self) {
        self.driver.post("/refresh", json!({})).expect("the page loads");
    }

    /// What the browser's back button does. By a script that leaves its page, the driver may go back twice.
    pub fn back(&self) {
        self.driver.post("/back", json!({})).expect("there is a page before this one");
    }

    pub fn url(&self) -> String {
        self.driver.get("/url").ok().and_then(|url| url.as_str().map(str::to_owned)).expect("a URL")
    }

    /// What a person reads in the first such element; `None` where there is none now.
    pub fn text(&self, css: &str) -> Option<String> {
        let text = self.element(css).and_then(|element| self.driver.get(&format!("/element/{element}/text")));
        passing(text).and_then(|text| text.as_str().map(str::to_owned))
    }

    /// Its attribute, as it is in the page.
    pub fn attribute(&self, css: &str, name: &str) -> Option<String> {
        let path = |element: String| format!("/element/{element}/attribute/{name}");
        let value = self.element(css).and_then(|element| self.driver.get(&path(element)));
        passing(value).and_then(|value| value.as_str().map(str::to_owned))
    }

    /// The value of a field now.
    pub fn value(&self, css: &str) -> Option<String> {
        let value =
            self.element(css).and_then(|element| self.driver.get(&format!("/element/{element}/property/value")));
        passing(value).and_then(|value| value.as_str().map(str::to_owned))
    }

    /// Clicks it, as soon as it can be clicked.
    pub fn click(&self, css: &str) {
        eventually(&format!("{css} can be clicked"), || {
            let element = passing(self.element(css))?;
            passing(self.driver.post(&format!("/element/{element}/click"), json!({})))
        });
    }

    /// Empties the field and types, as soon as it can be typed into.
    pub fn fill(&self, css: &str, text: &str) {
        eventually(&format!("{css} can be filled in"), || {
            let element = passing(self.element(css))?;
            passing(self.driver.post(&format!("/element/{element}/clear"), json!({})))?;
            passing(self.driver.post(&format!("/element/{element}/value"), json!({ "text": text })))
        });
    }

    /// Waits until the text is what is wanted, and returns it.
    pub fn wait_for(&self, css: &str, wanted: impl Fn(&str) -> bool) -> String {
        let last = RefCell::new(None);
        let look = || {
            *last.borrow_mut() = self.text(css);
            last.borrow().clone().filter(|text| wanted(text))
        };
        eventually_or(look, || format!("another text of {css} than {:?}", last.borrow()))
    }

    /// Waits until the text is this one.
    pub fn wait_for_text(&self, css: &str, text: &str) {
        self.wait_for(css, |now| now == text);
    }

    /// Waits until the attribute has this value.
    pub fn wait_for_attribute(&self, css: &str, name: &str, value: &str) {
        eventually(&format!("{name} of {css} is {value}"), || self.attribute(css, name).filter(|now| now == value));
    }

    /// What this body of a function returns, run in the page.
    pub fn run(&self, script: &str) -> Value {
        self.driver.post("/execute/sync", json!({ "script": script, "args": [] })).expect("the script runs")
    }

    /// Looks into the page's first frame from now on.
    pub fn look_into_frame(&self) {
        self.driver.post("/frame", json!({ "id": 0 })).expect("the page has a frame");
    }

    /// A cookie of this page, with its attributes as WebDriver names them; scripts cannot see all of these.
    pub fn cookie(&self, name: &str) -> Option<Value> {
        self.driver.get(&format!("/cookie/{name}")).ok()
    }

    /// Makes the page this wide and high, in CSS pixels, and each of those this many pixels of the screen.
    pub fn resize(&self, width: u32, height: u32, scale: f64) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": false });
        let command = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": size });
        self.driver.post("/goog/cdp/execute", command).expect("the page is resized");
    }

    /// What is seen, as a PNG.
    pub fn picture(&self) -> Vec<u8> {
        let picture = self.driver.get("/screenshot").expect("a picture");
        base64::engine::general_purpose::STANDARD.decode(picture.as_str().expect("base64")).expect("base64")
    }

    fn element(&self, css: &str) -> Result<String, Refused> {
        let found = self.driver.post("/element", json!({ "using": "css selector", "value": css }))?;
        Ok(found[ELEMENT].as_str().expect("a reference").to_owned())
    }
}

/// Nothing, where the page is not there yet; everything else that does not work fails the test.
#[track_caller]
fn passing<T>(answer: Result<T, Refused>) -> Option<T> {
    match answer {
        Ok(value) => Some(value),
        Err(refused) if PASSING.contains(&refused.code.as_str()) => None,
        Err(refused) if NAVIGATING.iter().any(|words| refused.message.contains(words)) => None,
        Err(refused) => panic!("{}: {}", refused.code, refused.message),
    }
}
