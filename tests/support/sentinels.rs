//! A real primary with two replicas, watched by three sentinels.

use std::process::{Child, Command, Stdio};

use super::cluster::until;
use super::redis_server::free_port;
use super::tls::Certificates;
use super::{Network, RedisServer};

/// What the sentinels call the primary.
pub const SERVICE: &str = "cloakroom";

pub struct Sentinels {
    /// The first server starts as the primary.
    pub servers: Vec<RedisServer>,
    /// The ports by which the servers are known.
    announced: Vec<u16>,
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Sentinels {
    /// Starts all six, and waits until the sentinels know each other and the replicas have what the primary has.
    pub fn start() -> Sentinels {
        Sentinels::start_with(&[])
    }

    /// Starts all six, with more settings for the three servers.
    pub fn start_with(settings: &[&str]) -> Sentinels {
        Sentinels::start_announced(settings, 1000, |port| port)
    }

    /// Starts all six, with a network around the three servers and with more patient sentinels. A sentinel needs up to a
    /// second to connect to a new primary, and may take that primary for dead meanwhile.
    pub fn start_in(network: &Network) -> Sentinels {
        let group = Sentinels::start_announced(&[], 3000, |port| network.before(port));
        for sentinel in &group.sentinels {
            // so that the sentinels see within a few seconds that a former primary must be made a replica; old versions of
            // them take longer
            let mut client = sentinel.client().expect("the sentinel answers");
            let _ = redis::cmd("SENTINEL")
                .arg(&["DEBUG", "publish-period", "500", "info-period", "1000"])
                .exec(&mut client);
        }
        group
    }

    /// One server and one sentinel, both of which speak TLS to whoever shows a certificate; and that sentinel's URL.
    pub fn start_with_tls(certificates: &Certificates) -> (Sentinels, String) {
        let (server, primary) = certificates.server();
        let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), free_port());
        let settings = certificates.settings(dir.path(), port);
        let lines = settings.chunks(2).map(|pair| format!("{} {}\n", pair[0].trim_start_matches('-'), pair[1]));
        // the files are read at the start only
        let sentinel =
            Sentinel::start(primary, 1000, &lines.chain(["tls-replication yes\n".to_owned()]).collect::<String>());
        until("the sentinel has found the primary", || sentinel.ask("MASTER").contains(&"master".to_owned()));
        let group = Sentinels { servers: vec![server], announced: vec![primary], sentinels: vec![sentinel] };
        (group, format!("rediss+sentinel://127.0.0.1:{port}/{SERVICE}"))
    }

    fn start_announced(settings: &[&str], down_after: u32, announce: impl Fn(u16) -> u16) -> Sentinels {
        let (mut servers, mut announced) = (Vec::new(), Vec::new());
        for number in 0..3 {
            let port = free_port();
            announced.push(announce(port));
            let (known, primary) = (announced[number].to_string(), announced[0].to_string());
            let mut all = vec!["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"];
            all.extend(settings);
            all.extend(["--replica-announce-port", &known]);
            if number > 0 {
                all.extend(["--replicaof", "127.0.0.1", &primary]);
            }
            let server = RedisServer::launch(port, &all);
            server.wait_until_it_answers();
            servers.push(server);
        }
        until("both replicas have what the primary has", || {
            servers[1..].iter().all(|server| server.info("replication", "master_link_status") == "up")
        });
        let sentinels = (0..3).map(|_| Sentinel::start(announced[0], down_after, "")).collect();
        let group = Sentinels { servers, announced, sentinels };
        until("the sentinels know each other and both replicas", || {
            group.sentinels.iter().all(|sentinel| {
                let known = sentinel.ask("MASTER");
                let is = |name: &str, value: &str| {
                    known.chunks(2).any(|pair| pair.len() == 2 && pair[0] == name && pair[1] == value)
                };
                is("num-slaves", "2") && is("num-other-sentinels", "2") && is("flags", "master")
            })
        });
        group
    }

    /// A URL of each sentinel.
    pub fn urls(&self) -> Vec<String> {
        let url = |sentinel: &Sentinel| format!("redis+sentinel://127.0.0.1:{}/{SERVICE}", sentinel.port);
        self.sentinels.iter().map(url).collect()
    }

    /// Makes the sentinels choose another server as the primary, although the present one is well.
    pub fn switch(&self) {
        let mut client = self.sentinels[1].client().expect("the sentinel answers");
        redis::cmd("SENTINEL").arg("FAILOVER").arg(SERVICE).exec(&mut client).unwrap();
    }

    /// The number of the server that the sentinels name as the primary.
    pub fn primary(&self) -> usize {
        self.named_by(1)
    }

    /// Waits until all sentinels that answer name another primary than this one. Returns the number of the new primary.
    pub fn wait_for_another_primary(&self, than: usize) -> usize {
        until("the sentinels name another primary", || {
            (1..3).all(|sentinel| self.named_by(sentinel) != than) && {
                let new = self.named_by(1);
                self.servers[new].try_info("replication", "role").is_ok_and(|role| role == "master")
            }
        });
        self.primary()
    }

    /// Waits until all replicas have what this server has.
    pub fn wait_until_replicated(&self, server: usize) {
        let info = |name: &str| self.servers[server].info("replication", name);
        until("the replicas have everything", || {
            let offset = info("master_repl_offset");
            let followers: usize = info("connected_slaves").parse().unwrap();
            let has_all = |line: String| line.split(',').any(|part| part.strip_prefix("offset=") == Some(&offset));
            followers > 0 && (0..followers).all(|number| has_all(info(&format!("slave{number}"))))
        });
    }

    /// Waits until a replica follows this server.
    pub fn wait_until_followed(&self, server: usize) {
        until("a replica follows", || self.servers[server].info("replication", "slave0").contains("state=online"));
    }

    /// Waits until this server follows another one.
    pub fn wait_until_replica(&self, server: usize) {
        until("the server is a replica", || {
            let is = |name: &str, value: &str| {
                self.servers[server].try_info("replication", name).is_ok_and(|said| said == value)
            };
            is("role", "slave") && is("master_link_status", "up")
        });
    }

    /// Lets a user with this password ask the sentinels.
    pub fn permit(&self, user: &str, password: &str) {
        for sentinel in &self.sentinels {
            let mut command = redis::cmd("ACL");
            command.arg(&["SETUSER", user, "on", &format!(">{password}"), "allchannels", "+@all"]);
            command.exec(&mut sentinel.client().expect("the sentinel answers")).unwrap();
        }
    }

    /// Halts the first sentinel, as if its machine hung.
    pub fn pause_first_sentinel(&self) {
        let done = Command::new("kill").args(["-STOP", &self.sentinels[0].child.id().to_string()]).status();
        assert!(done.expect("kill runs").success());
    }

    fn named_by(&self, sentinel: usize) -> usize {
        let address = self.sentinels[sentinel].ask("GET-MASTER-ADDR-BY-NAME");
        let position = self.announced.iter().position(|port| port.to_string() == address[1]);
        position.expect("one of ours")
    }
}

impl Sentinel {
    fn start(primary: u16, down_after: u32, more: &str) -> Sentinel {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let port = free_port();
        let settings = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nsentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n\
             sentinel down-after-milliseconds {SERVICE} {down_after}\nsentinel failover-timeout {SERVICE} 2000\n{more}",
            dir.path().display()
        );
        let file = dir.path().join("sentinel.conf");
        std::fs::write(&file, settings).unwrap();
        let child = Command::new("redis-server")
            .arg(file)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need redis-server: `apt-get install redis-server`, or run ./test, which installs it");
        let sentinel = Sentinel { child, port, _dir: dir };
        until("a sentinel answers", || sentinel.client().is_ok());
        sentinel
    }

    fn client(&self) -> redis::RedisResult<redis::Connection> {
        redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?.get_connection()
    }

    fn ask(&self, what: &str) -> Vec<String> {
        let answer = self
            .client()
            .and_then(|mut client| redis::cmd("SENTINEL").arg(what).arg(SERVICE).query::<Vec<String>>(&mut client));
        answer.unwrap_or_else(|error| panic!("SENTINEL {what}: {error}"))
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
