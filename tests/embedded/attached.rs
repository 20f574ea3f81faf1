//! Operators who reach the store of a running process by the socket in its directory.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use cloakroom::conformance::{mint, new_session};
use cloakroom::store::operate::{Attached, Inspect as _, Snapshot};
use cloakroom::store::{Embedded, Store, Target};
use cloakroom::{
    Page, SessionId, UserId,
    store::{Change, Credentials, SignIn, Terms},
};

use crate::crashes::sign_in;

async fn session(store: &Embedded, user: Option<&str>) -> Credentials {
    let presented = mint();
    store.create(&new_session(presented, [("views", "1")].into()), &Terms::default()).await.unwrap();
    if let Some(user) = user {
        let new = mint().secret_hash;
        let change = Change::SignIn {
            new: SignIn { max_sessions: 9, ..sign_in(user.try_into().unwrap()) },
            secret_hash: new.unwrap(),
        };
        store.apply(&presented, &change, &Terms::default()).await.unwrap();
        return Credentials { secret_hash: new, ..presented };
    }
    presented
}

#[tokio::test]
async fn operators_find_list_and_end_the_sessions_of_a_running_process() {
    let dir = tempfile::tempdir().unwrap();
    let (store, terms) = (Embedded::open(dir.path()).unwrap(), Terms::default());
    let (andrew, beth) = (UserId::try_from("andrew").unwrap(), UserId::try_from("beth").unwrap());
    let visitor = session(&store, None).await;
    let mut andrews = Vec::new();
    for _ in 0..3 {
        andrews.push(session(&store, Some("andrew")).await);
    }
    let beths = session(&store, Some("beth")).await;
    let attached = Attached::to(dir.path()).await.unwrap().expect("a process has it open");

    let scanned = attached.scan(None, 10).await.unwrap();
    assert!(scanned.ids.len() == 5 && scanned.next.is_none(), "{scanned:?}");
    let (here, there) = (store.find(&beths.id, &terms).await.unwrap(), attached.find(&beths.id, &terms).await.unwrap());
    assert_eq!(there.as_ref().map(|loaded| &loaded.record), here.as_ref().map(|loaded| &loaded.record));
    assert!(there.unwrap().now >= here.unwrap().now);
    let page = |offset, limit| Page { offset, limit };
    let ids =
        |presented: &[Credentials]| presented.iter().rev().map(|presented| presented.id).collect::<Vec<SessionId>>();
    assert_eq!(attached.sessions_of(&andrew, page(0, 9)).await.unwrap(), ids(&andrews));
    assert_eq!(attached.sessions_of(&andrew, page(1, 1)).await.unwrap(), [andrews[1].id]);

    let targets = [
        (Target::SessionOf(beth.clone(), andrews[0].id), 0),
        (Target::SessionOf(andrew.clone(), andrews[0].id), 1),
        (Target::OthersOf(andrew.clone(), andrews[1].id), 1),
        (Target::AllOf(andrew.clone()), 1),
        (Target::AllOf(andrew), 0),
        (Target::Session(visitor.id), 1),
        (Target::Session(visitor.id), 0),
    ];
    for (target, ended) in targets {
        assert_eq!(attached.revoke(&target).await.unwrap(), ended, "{target:?}");
    }
    assert_eq!(store.scan(None, 10).await.unwrap().ids, [beths.id]);
    assert_eq!(attached.find(&visitor.id, &terms).await.unwrap(), None);

    // what they ended is ended after a restart
    drop(store);
    let error = attached.scan(None, 10).await.unwrap_err();
    assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
    assert!(Attached::to(dir.path()).await.unwrap().is_none());
    let store = Embedded::open(dir.path()).unwrap();
    assert_eq!(store.scan(None, 10).await.unwrap().ids, [beths.id]);
    assert!(Attached::to(dir.path()).await.unwrap().is_some());
}

#[tokio::test]
async fn twenty_operators_at_once_are_all_answered() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::builder(dir.path()).wait_for_disk().open().unwrap();
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(session(&store, None).await.id);
    }
    let path = dir.path().to_owned();
    let ending = sessions.into_iter().map(|id| {
        let path = path.clone();
        tokio::spawn(async move {
            let attached = Attached::to(path).await.unwrap().unwrap();
            assert!(attached.find(&id, &Terms::default()).await.unwrap().is_some());
            attached.revoke(&Target::Session(id)).await.unwrap()
        })
    });
    let ended: Vec<_> = ending.collect();
    for ended in ended {
        assert_eq!(ended.await.unwrap(), 1);
    }
    assert!(store.scan(None, 10).await.unwrap().ids.is_empty());
}

#[tokio::test]
async fn rubbish_gets_an_error_and_disturbs_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let id = session(&store, None).await.id;
    let attached = Attached::to(dir.path()).await.unwrap().unwrap();
    let long = "x".repeat(100_000);
    for rubbish in ["", "x", "{}", "{\"revoke\":null}", "\u{0}\u{1}", &long, "[[[[[[[[[["] {
        let mut stream = UnixStream::connect(dir.path().join("control")).unwrap();
        // a long line is not read to its end
        let _ = stream.write_all(format!("{rubbish}\n").as_bytes());
        let mut answer = String::new();
        let read = BufReader::new(stream).read_line(&mut answer);
        assert!(read.is_err() || answer.contains("not understood"), "{answer}");
    }
    assert_eq!(attached.scan(None, 10).await.unwrap().ids, [id]);
}

#[tokio::test]
async fn the_socket_is_for_this_user_alone_and_takes_the_place_of_a_stale_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(Attached::to(dir.path()).await.unwrap().is_none(), "nobody listens at a stale one");
    let store = Embedded::open(dir.path()).unwrap();
    assert!(Attached::to(dir.path()).await.unwrap().is_some());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(store);
    assert!(!path.exists());
    let store = Embedded::builder(dir.path()).without_control_socket().open().unwrap();
    assert!(Attached::to(dir.path()).await.unwrap().is_none() && !path.exists());
    drop(store);
    // a path that is too long for a socket is good enough for a store
    let deep = dir.path().join("d".repeat(120)).join("store");
    let store = Embedded::open(&deep).unwrap();
    session(&store, None).await;
}

#[tokio::test]
async fn a_store_that_must_be_there_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nowhere");
    let error = Embedded::builder(&path).existing_only().open().unwrap_err();
    assert!(error.to_string().contains("there is no session store in") && !path.exists(), "{error}");
    let error = Embedded::builder(&path).existing_only().repair().unwrap_err();
    assert!(error.to_string().contains("there is no session store in") && !path.exists(), "{error}");
    drop(Embedded::open(&path).unwrap());
    drop(Embedded::builder(&path).existing_only().open().unwrap());
    fs::remove_file(path.join("seal")).unwrap();
    let error = Embedded::builder(&path).existing_only().open().unwrap_err();
    assert!(error.to_string().contains("the seal is missing"), "{error}");
}

#[tokio::test]
async fn clients_that_say_nothing_or_do_not_read_keep_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    for _ in 0..200 {
        session(&store, None).await;
    }
    let connect = || UnixStream::connect(dir.path().join("control")).unwrap();
    let silent: Vec<_> = (0..20).map(|_| connect()).collect();
    let not_reading: Vec<_> = (0..20)
        .map(|_| {
            let stream = connect();
            stream.set_nonblocking(true).unwrap();
            // more answers than the socket holds
            let _ = (&stream).write_all("{\"scan\":true}\n".repeat(2000).as_bytes());
            stream
        })
        .collect();
    let attached = Attached::to(dir.path()).await.unwrap().expect("a process has it open");
    assert_eq!(attached.scan(None, 10).await.unwrap().ids.len(), 200);
    // whoever was kept waiting by them asks again, through a new connection
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    let again: Vec<_> = (0..20).map(|_| connect()).collect();
    assert_eq!(attached.scan(None, 10).await.unwrap().ids.len(), 200);
    drop((silent, not_reading, again));
}

#[tokio::test]
async fn a_process_in_a_directory_with_a_long_path_is_reached() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("d".repeat(200)).join("store");
    fs::create_dir_all(&path).unwrap();
    assert!(Attached::to(&path).await.unwrap().is_none(), "nobody has it open");
    let store = Embedded::open(&path).unwrap();
    let id = session(&store, None).await.id;
    let attached = Attached::to(&path).await.unwrap();
    // elsewhere a socket there has no name: then the store does without
    assert!(attached.is_some() || !cfg!(target_os = "linux"));
    if let Some(attached) = attached {
        assert_eq!(attached.scan(None, 10).await.unwrap().ids, [id]);
        drop(store);
        assert!(!path.join("control").exists());
    }
}

#[tokio::test]
async fn no_process_is_found_where_there_is_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [&file, &dir.path().join("nowhere"), &file.join("below")] {
        assert!(Attached::to(path).await.unwrap().is_none(), "{}", path.display());
        let error = Snapshot::of(path).unwrap_err().to_string();
        assert!(error.contains("there is no session store in"), "{error}");
    }
    let error = Embedded::builder(&file).existing_only().open().unwrap_err().to_string();
    assert!(error.contains("it is not a directory"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_does_not_answer_is_not_waited_for_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let _stopped = std::os::unix::net::UnixListener::bind(dir.path().join("control")).unwrap();
    let attached = Attached::to(dir.path()).await.unwrap().expect("somebody listens");
    let error = attached.scan(None, 10).await.unwrap_err().to_string();
    assert!(error.contains("it has not answered for 30 seconds, perhaps because it was stopped"), "{error}");
    // so many wait that the next one cannot even be connected
    let path = dir.path().join("control");
    let mut waiting = Vec::new();
    loop {
        let client = tokio::net::UnixStream::connect(&path).await;
        match client {
            Ok(client) => waiting.push(client),
            Err(error) => break assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
    let error = Attached::to(dir.path()).await.unwrap_err().to_string();
    assert!(error.contains("cannot be reached: it has not answered for 30 seconds"), "{error}");
}
