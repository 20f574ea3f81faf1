//! An honest caller that goes on asking while others misbehave, and what the service takes of the machine meanwhile.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::caller::{address, ask, ask_at};
use crate::support::demo::Demo;

/// Somebody who is signed in, and whose application asks again and again, with a connection of its own each time.
pub(crate) struct Honest {
    stop: Arc<AtomicBool>,
    asking: Option<JoinHandle<u64>>,
    cookie: String,
}

impl Honest {
    pub(crate) fn begin(service: &Demo) -> Honest {
        let signed_in = ask(service, "POST", "/v1/session/sign-in", &[], r#"{"user":"honest"}"#);
        let cookie = format!("cookie: {}", signed_in.cookie().expect("a cookie"));
        let stop = Arc::new(AtomicBool::new(false));
        let (address, stopping, brought) = (address(service), Arc::clone(&stop), cookie.clone());
        let asking = std::thread::spawn(move || {
            let mut answers = 0;
            while !stopping.load(Ordering::Relaxed) {
                let answer = ask_at(&address, "GET", "/v1/session", &[&brought], "");
                assert!(answer.status == 200 && answer.body.contains(r#""user":"honest""#), "{answer:?}");
                answers += 1;
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            answers
        });
        Honest { stop, asking: Some(asking), cookie }
    }

    /// Ends it, and checks that it was answered all the time and that its session is as it was.
    #[track_caller]
    pub(crate) fn end(mut self, service: &Demo) {
        self.stop.store(true, Ordering::Relaxed);
        let answers = self.asking.take().expect("it is asking").join().expect("it was answered all the time");
        assert!(answers > 0);
        let answer = ask(service, "GET", "/v1/session", &[&self.cookie], "");
        assert!(answer.body.contains(r#""user":"honest""#), "{answer:?}");
    }
}

/// How much memory the service has now, in MiB.
pub(crate) fn memory(service: &Demo) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.id())).expect("the service runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
}
