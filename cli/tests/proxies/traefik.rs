//! A stand-in for Traefik, which was not to be had: it asks, lets in and refuses as the documentation of Traefik 3 says of
//! ForwardAuth and of the middleware Headers, and takes what is to be configured from the guide.

use std::io::{Read as _, Write as _, copy};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread::spawn;

use crate::browser::{Answer, Door, read_head, read_until_head, send, values, write_head};

type Headers = Vec<(String, String)>;

/// Headers that belong to one connection.
const HOP_BY_HOP: [&str; 6] = ["connection", "keep-alive", "te", "trailers", "transfer-encoding", "upgrade"];

#[derive(Clone)]
pub(crate) struct StandIn {
    pub(crate) configuration: String,
    pub(crate) service: u16,
    pub(crate) application: u16,
    pub(crate) sign_in: u16,
}

impl StandIn {
    /// Serves on this port until the test ends.
    pub(crate) fn serve(self, port: u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a free port");
        spawn(move || {
            for connection in listener.incoming().flatten() {
                let stand_in = self.clone();
                spawn(move || stand_in.answer(connection));
            }
        });
    }

    fn answer(&self, mut browser: TcpStream) {
        let Some(head) = read_until_head(&mut browser) else { return };
        let (line, headers) = read_head(&head);
        let [method, target, _] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else { return };
        let mut headers = without_what_connection_names(headers);
        headers.retain(|(name, _)| !self.removed().iter().any(|removed| name.eq_ignore_ascii_case(removed)));
        let asks_nobody = self.value("rule: Host(`app.example`) && PathPrefix(`");
        if target.starts_with(asks_nobody.trim_end_matches("`)")) {
            return hand_on(browser, self.sign_in, method, target, &headers);
        }
        let Some(answer) = self.ask(method, target, &headers) else {
            let _ = browser.write_all(b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n\r\n");
            return;
        };
        if !(200..300).contains(&answer.status) {
            return refuse(&mut browser, &answer);
        }
        for name in self.copied() {
            headers.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
            headers.extend(answer.all(&name).into_iter().map(|value| (name.clone(), value.to_owned())));
        }
        hand_on(browser, self.application, method, target, &headers);
    }

    /// Asks the service with a GET that has the visitor's headers. `None` if there is no answer.
    fn ask(&self, method: &str, target: &str, headers: &Headers) -> Option<Answer> {
        let host = values(headers, "host").first().copied().unwrap_or_default();
        let is_own = |name: &str| {
            let name = name.to_lowercase();
            HOP_BY_HOP.contains(&&*name)
                || ["host", "content-length"].contains(&&*name)
                || name.starts_with("x-forwarded")
        };
        let mut asked: Headers = headers.iter().filter(|(name, _)| !is_own(name)).cloned().collect();
        let proto = if values(headers, "upgrade").is_empty() { "https" } else { "wss" };
        let own = [("Host", "127.0.0.1"), ("X-Forwarded-Host", host), ("X-Forwarded-Proto", proto)];
        let own = [&own[..], &[("X-Forwarded-Method", method), ("X-Forwarded-Uri", target)]].concat();
        asked.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        let door = Door::from(self.service);
        door.is_open().then(|| send(door, "GET", &self.value("address: http://127.0.0.1:8090"), &borrowed(&asked), ""))
    }

    /// The headers that an empty value removes.
    fn removed(&self) -> Vec<&str> {
        let lines = self.configuration.lines().skip_while(|line| line.trim() != "customRequestHeaders:");
        lines.filter_map(|line| line.trim().strip_suffix(": \"\"")).collect()
    }

    /// The headers of the answer that the application receives.
    fn copied(&self) -> Vec<String> {
        let listed = self.value("authResponseHeaders: ");
        listed.trim_matches(['[', ']']).split(',').map(|name| name.trim().to_owned()).collect()
    }

    fn value(&self, key: &str) -> String {
        let mut values = self.configuration.lines().filter_map(|line| line.trim().strip_prefix(key));
        values.next().unwrap_or_else(|| panic!("{key} is not configured")).to_owned()
    }
}

/// Takes out what a request's `Connection` names, and leaves in it only that the protocol changes.
fn without_what_connection_names(mut headers: Headers) -> Headers {
    let named = values(&headers, "connection").join(",").to_lowercase();
    let named: Vec<_> = named.split(',').map(|name| name.trim().to_owned()).collect();
    headers.retain(|(name, _)| {
        let name = name.to_lowercase();
        name == "upgrade" || name != "connection" && !named.contains(&name)
    });
    let connection = if named.iter().any(|name| name == "upgrade") { "Upgrade" } else { "close" };
    headers.push(("Connection".to_owned(), connection.to_owned()));
    headers
}

/// Hands on a request with these headers, and whatever both sides send from then on.
fn hand_on(mut browser: TcpStream, application: u16, method: &str, target: &str, headers: &Headers) {
    let mut application = TcpStream::connect((Ipv4Addr::LOCALHOST, application)).expect("the application");
    write_head(&mut application, method, target, &borrowed(headers));
    let (mut from_browser, mut to_application) = (clone(&browser), clone(&application));
    spawn(move || copy(&mut from_browser, &mut to_application));
    let _ = copy(&mut application, &mut browser);
    let _ = browser.shutdown(Shutdown::Both);
}

fn refuse(browser: &mut TcpStream, answer: &Answer) {
    let mut text = format!("HTTP/1.1 {} -\r\n", answer.status);
    for (name, value) in &answer.headers {
        text += &format!("{name}: {value}\r\n");
    }
    let _ = browser.write_all(format!("{text}\r\n{}", answer.body).as_bytes());
    // what is left of the body would make the connection end with an error
    let _ = browser.shutdown(Shutdown::Write);
    let _ = browser.read_to_end(&mut Vec::new());
}

fn borrowed(headers: &Headers) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn clone(connection: &TcpStream) -> TcpStream {
    connection.try_clone().expect("a second handle")
}
