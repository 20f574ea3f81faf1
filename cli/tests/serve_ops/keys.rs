//! API keys: who may call, how keys are made and replaced, and what the file says.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::caller::{Answer, ask, request, send};
use crate::support::demo::Demo;
use crate::support::operator::{Said, run};
use crate::support::{eventually, service::service};

/// A file with keys in a directory of its own.
pub(crate) struct KeysFile {
    directory: tempfile::TempDir,
}

impl KeysFile {
    pub(crate) fn new() -> KeysFile {
        KeysFile { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("keys.toml")
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(self.path()).expect("a file")
    }

    /// Runs `cloakroom key`.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        let path = self.path();
        run(&[&["key", arguments[0], "--keys", path.to_str().expect("UTF-8")], &arguments[1..]].concat(), &[])
    }

    /// Makes a key and returns it.
    #[track_caller]
    pub(crate) fn key(&self, name: &str, rights: &str) -> String {
        let made = self.run(&["new", "--name", name, "--rights", rights]);
        assert_eq!(made.code, 0, "{made:?}");
        made.stdout.trim_end().to_owned()
    }

    /// Starts the service with these keys.
    pub(crate) fn service(&self, flags: &[&str]) -> Demo {
        let path = self.path();
        service(&[&["--store", "memory", "--keys", path.to_str().expect("UTF-8")], flags].concat())
    }
}

/// The header with which a caller shows its key.
pub(crate) fn showing(key: &str) -> String {
    format!("authorization: Bearer {key}")
}

fn status(service: &Demo, key: &str, method: &str, path: &str) -> u16 {
    ask(service, method, path, &[&showing(key)], "").status
}

#[test]
fn rights_include_those_below_them() {
    let keys = KeysFile::new();
    let [read, app, admin] = ["read", "app", "admin"].map(|rights| keys.key(rights, rights));
    let service = keys.service(&[]);
    let asked = |key: &str| {
        [("GET", "/v1/session"), ("DELETE", "/v1/session"), ("GET", "/v1/users/ada/sessions")]
            .map(|(method, path)| status(&service, key, method, path))
    };
    assert_eq!(asked(&read), [200, 403, 403]);
    assert_eq!(asked(&app), [200, 204, 403]);
    assert_eq!(asked(&admin), [200, 204, 200]);
    let refused = ask(&service, "GET", "/v1/users/ada/sessions", &[&showing(&app)], "");
    assert_eq!(refused.code(), "rights");
    assert!(refused.body.contains("admin") && refused.body.contains("app"), "{refused:?}");
}

#[test]
fn without_a_valid_key_everything_is_refused_and_nothing_is_read() {
    let keys = KeysFile::new();
    let key = keys.key("shop", "admin");
    let service = keys.service(&[]);
    let good = showing(&key);
    let wrong = [
        vec![],
        vec!["authorization: Bearer "],
        vec!["authorization: Bearer ckr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"],
        vec!["authorization: Basic dXNlcjpwYXNz"],
        vec![&good[..good.len() - 1]],
        vec![&good, &good],
        vec!["x-authorization: nobody"],
    ];
    for headers in wrong {
        let answer = ask(&service, "GET", "/v1/session", &headers, "");
        assert_eq!((answer.status, answer.code().as_str()), (401, "key"), "{headers:?}");
        assert!(answer.head.to_lowercase().contains("\r\nwww-authenticate: bearer"), "{answer:?}");
        assert!(!answer.body.contains("ckr_A"), "{answer:?}");
    }
    assert_eq!(status(&service, &key, "GET", "/v1/session"), 200);
    assert_eq!(ask(&service, "GET", "/v1/session", &[&good.replace("Bearer", "bearer")], "").status, 200);
}

#[test]
fn a_key_is_replaced_without_a_pause() {
    let keys = KeysFile::new();
    let old = keys.key("shop", "app");
    let service = keys.service(&[]);
    let new = keys.key("shop", "app");
    assert_eq!(status(&service, &new, "GET", "/v1/session"), 401, "the file was not read again yet");
    service.hang_up();
    eventually("both are valid", || (status(&service, &new, "GET", "/v1/session") == 200).then_some(()));
    assert_eq!(status(&service, &old, "GET", "/v1/session"), 200);

    let third = keys.run(&["new", "--name", "shop", "--rights", "app"]);
    assert_eq!((third.code, third.stdout.as_str()), (1, ""));
    assert!(third.stderr.contains("key remove --name shop --older"), "{third:?}");
    assert_eq!(keys.run(&["remove", "--name", "shop"]).code, 2, "which of the two?");
    assert_eq!(keys.run(&["remove", "--name", "shop", "--older"]).code, 0);
    assert_eq!(keys.run(&["remove", "--name", "shop", "--older"]).code, 1, "it is the only one now");
    service.hang_up();
    eventually("the old one is refused", || (status(&service, &old, "GET", "/v1/session") == 401).then_some(()));
    assert_eq!(status(&service, &new, "GET", "/v1/session"), 200);
    assert_eq!(keys.run(&["remove", "--name", "shop"]).code, 0);
    assert_eq!(keys.run(&["remove", "--name", "shop"]).code, 3);
}

#[test]
fn a_broken_file_leaves_the_keys_as_they_are() {
    let keys = KeysFile::new();
    let key = keys.key("shop", "app");
    let service = keys.service(&[]);
    fs::write(keys.path(), "[[key]]\nname = \"shop\"").expect("written");
    service.hang_up();
    eventually("it says so", || service.stderr().contains("the keys stay as they are").then_some(()));
    assert_eq!(status(&service, &key, "GET", "/v1/session"), 200);
}

#[test]
fn the_file_has_no_key_in_it_and_belongs_to_its_owner_alone() {
    let keys = KeysFile::new();
    let key = keys.key("shop", "app");
    assert!(key.starts_with("ckr_"), "it is recognised");
    assert!(!keys.text().contains(&key[4..]));
    let mode = || fs::metadata(keys.path()).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    let secret = |text: String| text.lines().find(|line| line.starts_with("idempotency_secret")).map(str::to_owned);
    let before = secret(keys.text());
    let listed = keys.run(&["list"]);
    assert!(listed.stdout.contains("shop  app"), "{listed:?}");
    for kept in keys.text().lines().filter(|line| line.starts_with("hash") || line.starts_with("idempotency")) {
        assert!(!listed.all().contains(kept.split('"').nth(1).expect("a text")), "{listed:?}");
    }
    keys.key("blog", "read");
    assert_eq!(secret(keys.text()), before, "the secret stays");
    assert_eq!(keys.run(&["list", "--json"]).json_lines()[1]["name"], "blog");

    fs::set_permissions(keys.path(), fs::Permissions::from_mode(0o644)).expect("allowed");
    let service = keys.service(&[]);
    eventually("it warns", || service.stderr().contains("chmod 600").then_some(()));
}

#[test]
fn a_change_of_the_file_is_made_by_one_process_at_a_time() {
    let keys = KeysFile::new();
    keys.key("shop", "app");
    let draft = keys.path().with_extension("toml.new");
    fs::write(&draft, "").expect("written");
    let refused = keys.run(&["new", "--name", "blog", "--rights", "app"]);
    assert!(refused.code == 1 && refused.stderr.contains("another process"), "{refused:?}");
    fs::remove_file(&draft).expect("removed");
    let programs: Vec<_> = ["a", "b", "c", "d"]
        .map(|name| {
            let path = keys.path();
            std::thread::spawn(move || {
                let path = path.to_str().expect("UTF-8");
                eventually("its turn comes", || {
                    let made = run(&["key", "new", "--keys", path, "--name", name, "--rights", "app"], &[]);
                    (made.code == 0).then_some(())
                });
            })
        })
        .into();
    programs.into_iter().for_each(|program| program.join().expect("it ends"));
    assert_eq!(keys.run(&["list", "--json"]).json_lines().len(), 5);
}

#[test]
fn an_address_that_others_can_reach_needs_keys_or_a_word() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let refused = run(&["serve", "--store", "memory", "--listen", address], &[]);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.stderr.contains("--keys") && refused.stderr.contains("--without-keys"), "{refused:?}");
    }
    let keys = KeysFile::new();
    keys.key("shop", "app");
    let said = |service: Demo| service.stdout();
    assert!(said(keys.service(&["--listen", "0.0.0.0:0"])).contains("1 API key"));
    let without = service(&["--store", "memory", "--listen", "0.0.0.0:0", "--without-keys"]);
    assert!(said(without).contains("everybody who can connect has all rights"));
    let local = service(&["--store", "memory"]);
    assert_eq!(ask(&local, "GET", "/v1/users/ada/sessions", &[], "").status, 200);
    assert!(said(local).contains("everybody who can connect has all rights"));
}

#[test]
fn a_file_that_is_missing_or_wrong_ends_the_start_with_a_reason() {
    let keys = KeysFile::new();
    let path = keys.path();
    let start = || run(&["serve", "--store", "memory", "--keys", path.to_str().expect("UTF-8")], &[]);
    let missing = start();
    assert!(missing.code == 2 && missing.stderr.contains("cloakroom key new"), "{missing:?}");
    fs::write(&path, "idempotency_secret = \"abc\"\n").expect("written");
    let wrong = start();
    assert!(wrong.code == 1 && wrong.stderr.contains("43 characters"), "{wrong:?}");
    let refused = keys.run(&["new", "--name", "-x", "--rights", "app"]);
    assert_eq!(refused.code, 2, "{refused:?}");
}

#[test]
fn without_keys_no_page_of_another_site_is_answered_in_a_browser_of_this_machine() {
    let local = service(&["--store", "memory"]);
    let under = |service: &Demo, host: &str, path: &str| {
        let sent = request("GET", path, &[], "").replace("host: sessions", &format!("host: {host}"));
        Answer::read(&send(service, sent.as_bytes()))
    };
    for path in ["/v1/session", "/v1/users/ada/sessions", "/metrics"] {
        let refused = under(&local, "evil.example:8090", path);
        assert_eq!((refused.status, refused.code().as_str()), (403, "cross-site"), "{path}");
        assert_eq!(under(&local, "127.0.0.1:8090", path).status, 200, "{path}");
    }
    let confirmed = service(&["--store", "memory", "--without-keys"]);
    assert_eq!(under(&confirmed, "cloakroom.internal.example", "/v1/session").status, 200);
}
