//! Real proxies, configured as the guide says.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::browser::{Answer, Door, HOST, Socket, open_socket, send};
use crate::echo::Echo;
use crate::page::{configuration, with};
use crate::site::Site;
use crate::support::eventually;
use crate::support::redis_server::free_port;
use crate::support::tls::Certificates;
use crate::traefik::StandIn;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Nginx,
    /// As Debian 12 has it.
    Caddy26,
    Caddy211,
    Envoy,
    /// Not the real one: see `traefik.rs`.
    Traefik,
}

/// Mounts the scenarios once for each proxy, and for the one that stands in for Traefik.
#[macro_export]
macro_rules! on_each_proxy {
    ($($scenario:ident,)*) => {
        $crate::on_each_real_proxy!($($scenario,)*);
        $crate::on_each_real_proxy!(@ stand_in_for_traefik Traefik $($scenario)*);
    };
}

/// Mounts the scenarios once for each proxy that is installed.
#[macro_export]
macro_rules! on_each_real_proxy {
    ($($scenario:ident,)*) => {
        $crate::on_each_real_proxy!(@ nginx Nginx $($scenario)*);
        $crate::on_each_real_proxy!(@ caddy_2_6 Caddy26 $($scenario)*);
        $crate::on_each_real_proxy!(@ caddy_2_11 Caddy211 $($scenario)*);
        $crate::on_each_real_proxy!(@ envoy Envoy $($scenario)*);
    };
    (@ $module:ident $kind:ident $($scenario:ident)*) => {
        mod $module {
            $(#[test]
            fn $scenario() {
                super::$scenario($crate::proxy::Kind::$kind);
            })*
        }
    };
}

/// A proxy with an application behind it, which asks the service of a site.
pub(crate) struct Proxy {
    /// `None` for the one that stands in for Traefik.
    child: Option<Child>,
    directory: tempfile::TempDir,
    door: Door,
    pub(crate) application: Echo,
    /// Where people sign in.
    pub(crate) sign_in: Echo,
}

impl Proxy {
    pub(crate) fn start(kind: Kind, site: &Site) -> Proxy {
        Proxy::start_with(kind, site, Changes::default())
    }

    /// Starts a proxy whose configuration differs from the one in the guide.
    pub(crate) fn start_with(kind: Kind, site: &Site, changes: Changes) -> Proxy {
        let (application, sign_in) = (Echo::default(), Echo::default());
        let directory = tempfile::tempdir().expect("a temporary directory");
        let certificates = Certificates::new();
        let (certificate, key) = &certificates.client; // the one for app.example
        fs::write(directory.path().join("app.pem"), certificate).expect("a file");
        fs::write(directory.path().join("app.key"), key).expect("a file");
        let place = Place {
            directory: directory.path(),
            port: free_port(),
            service: site.port(),
            application: application.start(),
            sign_in: sign_in.start(),
        };
        let child = kind.run(&place, &changes);
        let door = match kind {
            Kind::Traefik => place.port.into(),
            _ => Door::with_tls(place.port, &certificates.authority),
        };
        let mut proxy = Proxy { child, directory, door, application, sign_in };
        eventually("the proxy listens", || {
            if let Some(status) = proxy.child.as_mut().and_then(|child| child.try_wait().expect("it is our child")) {
                panic!("{kind:?} has ended with {status}: {}", proxy.logs());
            }
            proxy.door.is_open().then_some(())
        });
        proxy
    }

    pub(crate) fn get(&self, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", "/", headers, "")
    }

    pub(crate) fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        send(&self.door, method, target, &[&[HOST], headers].concat(), body)
    }

    pub(crate) fn open_socket(&self, headers: &[(&str, &str)]) -> (Answer, Socket) {
        open_socket(&self.door, "/socket", &[&[HOST], headers].concat())
    }

    /// All that the proxy has written.
    pub(crate) fn logs(&self) -> String {
        let files = fs::read_dir(self.directory.path()).expect("a directory");
        let paths = files.map(|file| file.expect("a file").path());
        let logs = paths.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.map(|path| String::from_utf8_lossy(&fs::read(path).expect("a log")).into_owned()).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// How a configuration differs from the one in the guide.
#[derive(Clone, Copy, Default)]
pub(crate) struct Changes<'a> {
    /// Texts in it, and what stands there instead.
    pub(crate) replaced: &'a [(&'a str, &'a str)],
    /// The proxy logs all that it can, and so the token.
    pub(crate) says_all: bool,
}

/// What a configuration names.
struct Place<'a> {
    directory: &'a Path,
    port: u16,
    service: u16,
    application: u16,
    sign_in: u16,
}

impl Place<'_> {
    fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().expect("UTF-8").to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.directory.join(name), text).expect("a file");
        self.path(name)
    }

    fn log(&self, name: &str) -> File {
        File::create(self.directory.join(name)).expect("a file")
    }

    fn configuration(&self, heading: &str, changes: &Changes<'_>, own: &[(&str, &str)]) -> String {
        let own_address = |port: u16| format!("127.0.0.1:{port}");
        let upstreams = [
            ("127.0.0.1:8090", &*own_address(self.service)),
            ("127.0.0.1:3000", &own_address(self.application)),
            ("127.0.0.1:3001", &own_address(self.sign_in)),
        ];
        with(with(with(configuration(heading), own), &upstreams), changes.replaced)
    }
}

impl Kind {
    fn run(self, place: &Place<'_>, changes: &Changes<'_>) -> Option<Child> {
        let mut command = match self {
            Kind::Traefik => {
                let configuration = with(configuration("Traefik"), changes.replaced);
                let Place { service, application, sign_in, .. } = *place;
                StandIn { configuration, service, application, sign_in }.serve(place.port);
                return None;
            }
            Kind::Nginx => nginx(place, changes),
            Kind::Caddy26 => caddy("caddy".into(), place, changes),
            Kind::Caddy211 => caddy(of_pypi("bin/caddy"), place, changes),
            Kind::Envoy => envoy(place, changes),
        };
        command.env("XDG_DATA_HOME", place.directory).env("XDG_CONFIG_HOME", place.directory).stdin(Stdio::null());
        command.stdout(place.log("stdout.log")).stderr(place.log("stderr.log"));
        let program = command.get_program().to_owned();
        let child = command.spawn();
        Some(child.unwrap_or_else(|error| {
            panic!("{} does not start: {error}. ./test installs it", Path::new(&program).display())
        }))
    }
}

/// What `scripts/fetch-peers` has installed.
pub(crate) fn of_pypi(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/proxies").join(path)
}

fn nginx(place: &Place<'_>, changes: &Changes<'_>) -> Command {
    let listen = format!("listen 127.0.0.1:{} ssl;", place.port);
    let own = [
        ("listen 443 ssl;", &*listen),
        ("/etc/ssl/app.example.pem", &place.path("app.pem")),
        ("/etc/ssl/app.example.key", &place.path("app.key")),
    ];
    place.write("site.conf", &place.configuration("nginx", changes, &own));
    let directory = place.directory.display();
    let (level, format) = match changes.says_all {
        true => ("debug", "log_format all '$request $http_cookie';"),
        false => ("info", "log_format all '$request $http_referer $http_user_agent $sent_http_location $status';"),
    };
    let around = format!(
        "daemon off; master_process off; pid {directory}/pid; error_log {directory}/error.log {level};
         events {{}}
         http {{
             client_body_temp_path {directory}/1; proxy_temp_path {directory}/2; fastcgi_temp_path {directory}/3;
             uwsgi_temp_path {directory}/4; scgi_temp_path {directory}/5;
             {format} access_log {directory}/access.log all; access_log {directory}/usual.log combined;
             include {directory}/site.conf;
         }}"
    );
    // Debian has it where only the system's administrator looks
    let usual = Path::new("/usr/sbin/nginx");
    let mut command = Command::new(if usual.exists() { usual } else { Path::new("nginx") });
    command.args(["-e", &place.path("error.log"), "-c", &place.write("nginx.conf", &around)]);
    command
}

fn caddy(program: PathBuf, place: &Place<'_>, changes: &Changes<'_>) -> Command {
    let certificate = format!("tls {} {}", place.path("app.pem"), place.path("app.key"));
    let log = format!("log {{\n\t\toutput file {}\n\t\tlevel DEBUG\n\t}}", place.path("access.log"));
    let site = format!("app.example:{} {{\n\t{certificate}\n\t{log}\n", place.port);
    let own = place.configuration("Caddy", changes, &[("app.example {\n", &site)]);
    let says_all = if changes.says_all { "servers {\n\t\tlog_credentials\n\t}" } else { "" };
    let options = format!("{{\n\tadmin off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n\tdebug\n\t{says_all}\n}}\n");
    let mut command = Command::new(program);
    command.args(["run", "--adapter", "caddyfile", "--config", &place.write("Caddyfile", &format!("{options}{own}"))]);
    command
}

fn envoy(place: &Place<'_>, changes: &Changes<'_>) -> Command {
    let [port, service, application, sign_in] =
        [place.port, place.service, place.application, place.sign_in].map(|port| format!("port_value: {port} }}"));
    let (listen, uri) = (format!("address: 127.0.0.1, {port}"), format!("uri: http://127.0.0.1:{}", place.service));
    let replaced = [
        ("address: 0.0.0.0, port_value: 443 }", &*listen),
        ("port_value: 8090 }", &service),
        ("port_value: 3000 }", &application),
        ("port_value: 3001 }", &sign_in),
        ("uri: http://127.0.0.1:8090", &uri),
        ("/etc/ssl/app.example.pem", &place.path("app.pem")),
        ("/etc/ssl/app.example.key", &place.path("app.key")),
    ];
    let own = with(with(configuration("Envoy"), &replaced), changes.replaced);
    let mut command = Command::new(of_pypi("envoy/_bin/envoy"));
    command.args([
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--file-flush-interval-msec",
        "50",
        "--config-path",
        &place.write("envoy.yaml", &own),
    ]);
    command.args(["--log-level", if changes.says_all { "debug" } else { "info" }]);
    command
}
