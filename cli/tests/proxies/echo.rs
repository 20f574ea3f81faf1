//! An application that answers with what it was asked, and remembers it.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{FromRequestParts as _, Request, State};
use axum::response::{IntoResponse as _, Response};

use crate::browser::values;
use crate::support::served::serve;

#[derive(Clone, Default)]
pub(crate) struct Echo {
    received: Arc<Mutex<Vec<Received>>>,
}

/// A request that has reached the application.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Echo {
    /// Starts the application, and returns its port.
    pub(crate) fn start(&self) -> u16 {
        serve(Router::new().fallback(answer).with_state(self.clone()))
    }

    /// All requests since somebody last asked.
    pub(crate) fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.received.lock().expect("no panic"))
    }

    /// The only request since somebody last asked.
    #[track_caller]
    pub(crate) fn take_one(&self) -> Received {
        match &self.take()[..] {
            [one] => one.clone(),
            others => panic!("{} requests have reached the application: {others:?}", others.len()),
        }
    }
}

impl Received {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        values(&self.headers, name)
    }

    /// The values of all headers that an application by CGI, WSGI or PHP finds in this variable.
    pub(crate) fn variable(&self, variable: &str) -> Vec<&str> {
        let in_cgi = |name: &str| name.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let named = self.headers.iter().filter(|(name, _)| format!("HTTP_{}", in_cgi(name)) == variable);
        named.map(|(_, value)| value.as_str()).collect()
    }
}

async fn answer(State(echo): State<Echo>, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    let socket = WebSocketUpgrade::from_request_parts(&mut head, &()).await;
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let received = Received { method: head.method.to_string(), target: head.uri.to_string(), headers, body };
    let said = format!("the application has {} bytes", received.body.len());
    echo.received.lock().expect("no panic").push(received);
    match socket {
        Ok(socket) => socket.on_upgrade(async |mut socket| {
            while let Some(Ok(Message::Text(text))) = socket.recv().await {
                let _ = socket.send(Message::Text(text)).await;
            }
        }),
        Err(_) => said.into_response(),
    }
}
