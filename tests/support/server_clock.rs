//! The clock of a redis-server, which a test moves.

use std::io::{Seek, Write};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Moves the time of day of the server that is started with its environment. Between two moves it goes on by itself,
/// unless it is told to stand still.
pub struct ServerClock {
    dir: tempfile::TempDir,
    file: std::fs::File,
    /// How many seconds this clock is ahead of the machine's; negative while it is behind.
    ahead: i64,
}

impl ServerClock {
    /// A clock that shows the machine's time until it is moved. Fails where there is no C compiler, and says what is missing.
    pub fn new() -> ServerClock {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/server_clock.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(dir.path().join("clock.so"))
            .arg(source)
            .output()
            .expect("these tests need a C compiler, cc: run ./test, which installs it");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let file = std::fs::File::create(dir.path().join("ahead")).expect("a file");
        let mut clock = ServerClock { dir, file, ahead: 0 };
        clock.move_by(0);
        clock
    }

    pub fn advance(&mut self, by: Duration) {
        self.move_by(by.as_secs() as i64);
    }

    /// Sets the clock back, as an operator or a time server does with a clock that was ahead.
    pub fn set_back(&mut self, by: Duration) {
        self.move_by(-(by.as_secs() as i64));
    }

    /// From now on the server's clock stands still at this time, until it is moved.
    pub fn stand_still_at(&mut self, time: SystemTime) {
        let since = time.duration_since(UNIX_EPOCH).expect("a time after 1970");
        self.write(since.as_micros() as i64);
    }

    fn write(&mut self, still: i64) {
        self.file.rewind().expect("a file");
        // the file is overwritten, not replaced, because the server has mapped it
        let both = [self.ahead.to_ne_bytes(), still.to_ne_bytes()].concat();
        self.file.write_all(&both).expect("it is written");
    }

    fn move_by(&mut self, seconds: i64) {
        self.ahead += seconds;
        self.write(0);
        // Valkey 9 looks at the clock once a millisecond
        std::thread::sleep(Duration::from_millis(5));
    }

    /// The variables that a process needs in its environment to go by this clock.
    pub fn environment(&self) -> Vec<(String, String)> {
        let path = |name: &str| self.dir.path().join(name).to_str().expect("UTF-8").to_owned();
        [("LD_PRELOAD", path("clock.so")), ("SERVER_CLOCK", path("ahead"))]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }
}
