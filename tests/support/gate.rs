//! A gate between a client and its Redis: it sees whole commands and whole replies, lets them through one at a time when the
//! test says so, or cuts the line at one of them.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

/// Where a line is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The command never arrives, and the connection ends.
    BeforeCommand,
    /// The server does the command, but its reply never arrives, and the connection ends.
    BeforeReply,
    /// The command waits, until the gate is opened.
    Hold,
}

/// Everything that passes the gate comes from clients that were given the gate's address. Clones are the same gate.
#[derive(Clone)]
pub struct Gate {
    shared: Arc<Shared>,
    port: u16,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    mode: Mode,
    /// The commands that were let through and answered since somebody last asked: each with its name, its bytes, and those of its
    /// reply.
    passed: Vec<(String, usize, usize)>,
    /// Commands that stand before the gate.
    waiting: usize,
    /// Commands that were let through and answered.
    answered: usize,
    /// Whether the line was cut.
    was_cut: bool,
    /// Whether the client's program has come to its end.
    finished: bool,
}

#[derive(Clone, Copy)]
enum Mode {
    Open,
    /// This many more commands may pass.
    Counted(usize),
    /// The line is cut at the command that comes after this many.
    Cutting(usize, Cut),
    /// The line was cut: nothing passes, not on new connections either, as if the process had died.
    Severed,
}

enum Verdict {
    Pass,
    Cut(Cut),
}

impl Gate {
    /// An open gate before the server on this port.
    pub async fn before(server: u16) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().unwrap().port();
        let state =
            State { mode: Mode::Open, passed: Vec::new(), waiting: 0, answered: 0, was_cut: false, finished: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() });
        let gate = Gate { shared: shared.clone(), port };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.expect("the test's redis-server answers");
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                tokio::spawn(shared.clone().serve(client, server));
            }
        });
        gate
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// From now on everything passes, also the commands that wait.
    pub fn open(&self) {
        self.set(Mode::Open);
    }

    /// From now on nothing passes without [`step`](Gate::step).
    pub fn close(&self) {
        self.set(Mode::Counted(0));
    }

    /// This many commands pass, then the line is cut until the gate is opened.
    pub fn cut_after(&self, commands: usize, cut: Cut) {
        self.set(Mode::Cutting(commands, cut));
    }

    /// The commands that were let through and answered since the last call: each with its name, its bytes, and those of its reply.
    pub fn passed(&self) -> Vec<(String, usize, usize)> {
        std::mem::take(&mut self.shared.state().passed)
    }

    /// Whether the line has been cut.
    pub fn was_cut(&self) -> bool {
        self.shared.state().was_cut
    }

    /// Waits until the line has been cut.
    pub async fn until_cut(&self) {
        self.until(|state| state.was_cut).await;
    }

    /// Tells the gate that the client's program has come to its end.
    pub fn finish(&self) {
        self.shared.state().finished = true;
        self.shared.changed.notify_waiters();
    }

    /// Waits until the client asks for something or has come to its end. Returns whether the client asks for something.
    pub async fn asks(&self) -> bool {
        self.until(|state| state.finished || state.waiting > 0).await;
        self.shared.state().waiting > 0
    }

    /// Lets one command through, and its reply back.
    pub async fn step(&self) {
        let before = {
            let mut state = self.shared.state();
            assert!(state.waiting > 0, "nothing waits at the gate");
            state.mode = Mode::Counted(1);
            state.answered
        };
        self.shared.changed.notify_waiters();
        self.until(|state| state.answered > before).await;
    }

    fn set(&self, mode: Mode) {
        let mut state = self.shared.state();
        (state.mode, state.was_cut, state.finished) = (mode, false, false);
        drop(state);
        self.shared.changed.notify_waiters();
    }

    async fn until(&self, condition: impl Fn(&State) -> bool) {
        self.shared.until(condition).await;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn until(&self, condition: impl Fn(&State) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if condition(&self.state()) {
                return;
            }
            changed.await;
        }
    }

    async fn serve(self: Arc<Self>, client: TcpStream, server: TcpStream) {
        let (from_client, to_client) = client.into_split();
        let (from_server, mut to_server) = server.into_split();
        let (queue, mut commands) = mpsc::unbounded_channel();
        let (answers, mut replies) = mpsc::unbounded_channel();
        let to_client = Arc::new(tokio::sync::Mutex::new(to_client));
        let reading = tokio::spawn(self.clone().enqueue(Frames::new(from_client), queue));
        let hearing = tokio::spawn(hear(Frames::new(from_server), answers, to_client.clone()));
        while let Some(command) = commands.recv().await {
            if is_asked_anyway(&command) {
                let passed = async {
                    to_server.write_all(&command).await.ok()?;
                    to_client.lock().await.write_all(&replies.recv().await?).await.ok()
                };
                if passed.await.is_none() {
                    break;
                }
                continue;
            }
            let passed = self.pass(&command, &mut to_server, &mut replies, &to_client).await;
            let mut state = self.state();
            state.waiting -= 1;
            state.answered += 1;
            drop(state);
            self.changed.notify_waiters();
            if passed.is_none() {
                break;
            }
        }
        reading.abort();
        hearing.abort();
        let _ = reading.await;
        let _ = hearing.await;
        commands.close();
        while let Ok(command) = commands.try_recv() {
            self.state().waiting -= usize::from(!is_asked_anyway(&command));
        }
    }

    async fn enqueue(self: Arc<Self>, mut frames: Frames, queue: mpsc::UnboundedSender<Vec<u8>>) {
        while let Some(command) = frames.next().await {
            let counts = usize::from(!is_asked_anyway(&command));
            self.state().waiting += counts;
            if queue.send(command).is_err() {
                self.state().waiting -= counts;
                return;
            }
            self.changed.notify_waiters();
        }
    }

    /// Lets a command through when it may pass. `None` where the line has ended.
    async fn pass(
        &self,
        command: &[u8],
        to_server: &mut OwnedWriteHalf,
        replies: &mut mpsc::UnboundedReceiver<Vec<u8>>,
        to_client: &tokio::sync::Mutex<OwnedWriteHalf>,
    ) -> Option<()> {
        let verdict = self.verdict().await;
        if matches!(verdict, Verdict::Cut(Cut::BeforeCommand)) {
            return None;
        }
        to_server.write_all(command).await.ok()?;
        let reply = replies.recv().await?;
        self.state().passed.push((name_of(command), command.len(), reply.len()));
        if matches!(verdict, Verdict::Cut(Cut::BeforeReply)) {
            return None;
        }
        to_client.lock().await.write_all(&reply).await.ok()
    }

    async fn verdict(&self) -> Verdict {
        loop {
            self.until(|state| !matches!(state.mode, Mode::Counted(0))).await;
            let mut state = self.state();
            match &mut state.mode {
                Mode::Open => return Verdict::Pass,
                Mode::Severed => return Verdict::Cut(Cut::BeforeCommand),
                Mode::Counted(0) => continue,
                Mode::Counted(left) | Mode::Cutting(left @ 1.., _) => {
                    *left -= 1;
                    return Verdict::Pass;
                }
                Mode::Cutting(_, cut) => {
                    let cut = *cut;
                    state.mode = if cut == Cut::Hold { Mode::Counted(0) } else { Mode::Severed };
                    state.was_cut = true;
                    drop(state);
                    self.changed.notify_waiters();
                    if cut != Cut::Hold {
                        return Verdict::Cut(cut);
                    }
                }
            }
        }
    }
}

fn name_of(command: &[u8]) -> String {
    let name = command.split(|byte| *byte == b'\n').nth(2).unwrap_or_default();
    String::from_utf8_lossy(name).trim().to_owned()
}

/// Whether a command asks for the server's role, or for its time alone. A store does both once a second, whatever the test's
/// client does.
fn is_asked_anyway(command: &[u8]) -> bool {
    command == b"*1\r\n$4\r\nTIME\r\n" || command.windows(b"replication".len()).any(|part| part == b"replication")
}

/// What the server says without being asked passes at once, whatever waits at the gate.
async fn hear(
    mut frames: Frames,
    answers: mpsc::UnboundedSender<Vec<u8>>,
    to_client: Arc<tokio::sync::Mutex<OwnedWriteHalf>>,
) {
    while let Some(frame) = frames.next().await {
        let passed = match frame[0] {
            b'>' => to_client.lock().await.write_all(&frame).await.is_ok(),
            _ => answers.send(frame).is_ok(),
        };
        if !passed {
            return;
        }
    }
}

/// A stream of RESP values.
struct Frames {
    stream: OwnedReadHalf,
    buffer: Vec<u8>,
}

impl Frames {
    fn new(stream: OwnedReadHalf) -> Frames {
        Frames { stream, buffer: Vec::new() }
    }

    /// The next whole value, as its bytes; `None` at the end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = end_of_value(&self.buffer, 0) {
                let rest = self.buffer.split_off(end);
                return Some(std::mem::replace(&mut self.buffer, rest));
            }
            let read = self.stream.read_buf(&mut self.buffer).await.ok()?;
            if read == 0 {
                return None;
            }
        }
    }
}

/// Where the value that begins here ends, if all of it has come.
fn end_of_value(bytes: &[u8], start: usize) -> Option<usize> {
    let line = bytes.get(start..)?.windows(2).position(|pair| pair == b"\r\n")?;
    let after = start + line + 2;
    let head = &bytes[start..start + line];
    let number = || std::str::from_utf8(&head[1..]).unwrap().parse::<i64>().expect("a length");
    match head[0] {
        b'$' | b'=' | b'!' => match number() {
            -1 => Some(after),
            length => Some(after + length as usize + 2).filter(|end| *end <= bytes.len()),
        },
        b'*' | b'~' | b'>' => (0..number()).try_fold(after, |at, _| end_of_value(bytes, at)),
        b'%' => (0..2 * number()).try_fold(after, |at, _| end_of_value(bytes, at)),
        b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => Some(after),
        other => panic!("{:?} begins no value of RESP", char::from(other)),
    }
}
