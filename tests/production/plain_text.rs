//! No password and no session goes to another machine in plain text, whoever names it.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use cloakroom::conformance::mint;
use cloakroom::store::{Durability, NearCache, Redis, RedisBuilder};

use crate::support::{FakeServer, Said};
use crate::{Kept, PATIENT, SHORT};

const PASSWORD: &str = "hunter2-of-redis";
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// An address of this machine by which others reach it: to the store it is another machine.
fn from_outside() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // sends nothing, only chooses an address
    socket.connect("192.0.2.1:9").expect("this test needs an address besides 127.0.0.1");
    let address = socket.local_addr().unwrap().ip();
    assert!(!address.is_loopback(), "this test needs an address besides 127.0.0.1");
    address
}

/// Another machine, as far as the store can know. It takes whatever it is sent.
async fn elsewhere() -> FakeServer {
    FakeServer::start(from_outside(), |command, _| match command[0].as_str() {
        "HGETALL" => Said::This("*0\r\n".to_owned()),
        "TIME" => Said::This("*2\r\n:0\r\n:0\r\n".to_owned()),
        "EVALSHA" => Said::This(":0\r\n".to_owned()),
        "ASKING" | "MULTI" => Said::This("+OK\r\n".to_owned()),
        "EXEC" => Said::This("*2\r\n*0\r\n*2\r\n:0\r\n:0\r\n".to_owned()),
        _ => Said::AsUsual,
    })
    .await
}

/// A node of a cluster of one that says its address is this, or without one its own, and says this of every key.
async fn node(named: Option<(IpAddr, u16)>, of_keys: String) -> FakeServer {
    FakeServer::start(LOCAL, move |command, own| match command[0].as_str() {
        "INFO" => Said::This(bulk("role:master\r\ncluster_enabled:1\r\n")),
        "CLUSTER" => {
            let (host, port) = named.unwrap_or((LOCAL, own));
            let primary = format!("*3\r\n{}:{port}\r\n{}", bulk(&host.to_string()), bulk("its-id"));
            Said::This(format!("*1\r\n*3\r\n:0\r\n:16383\r\n{primary}"))
        }
        "HGETALL" | "TIME" | "EVALSHA" => Said::This(of_keys.clone()),
        _ => Said::AsUsual,
    })
    .await
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn with_password(url: String) -> RedisBuilder {
    Redis::builder(url).username("app").password(PASSWORD).timeout(PATIENT)
}

/// That it names the address and the way out, and nothing that is secret.
fn assert_refusal(error: &str, address: &str) {
    assert!(error.contains(address) && error.contains("accept_plain_text()") && error.contains("rediss://"), "{error}");
    assert!(!error.contains(PASSWORD), "{error}");
}

#[tokio::test]
async fn a_redirection_to_another_machine_is_not_followed_in_plain_text() {
    for redirection in ["MOVED", "ASK"] {
        let elsewhere = elsewhere().await;
        let node = node(None, format!("-{redirection} 1 {}\r\n", elsewhere.address())).await;
        let url = || format!("redis://{}", node.address());
        let durability = Durability { replicas: 0, on_disk: false, timeout: SHORT };
        for builder in [
            with_password(url()),
            with_password(url()).near_cache(NearCache::default()),
            with_password(url()).durable_revokes(durability),
        ] {
            let kept = Kept::on(builder).await;
            let presented = mint();
            assert_refusal(&kept.load(&presented).await.unwrap_err().to_string(), &elsewhere.address());
            assert_refusal(&kept.revoke(&presented).await.unwrap_err().to_string(), &elsewhere.address());
            assert_refusal(&kept.create().await.unwrap_err().to_string(), &elsewhere.address());
        }
        assert_eq!(elsewhere.heard(), Vec::<Vec<String>>::new(), "{redirection}");
        // it would have been followed
        let kept = Kept::on(with_password(url()).accept_plain_text()).await;
        assert!(!kept.lives(&mint()).await);
        assert!(elsewhere.count("AUTH") > 0, "{redirection}");
    }
}

#[tokio::test]
async fn a_cluster_that_names_another_machine_is_refused_in_plain_text() {
    let elsewhere = elsewhere().await;
    let node = node(Some((from_outside(), elsewhere.port())), "-ERR nothing is here\r\n".to_owned()).await;
    let url = format!("redis://{}", node.address());
    let error = with_password(url.clone()).connect().await.map(drop).unwrap_err();
    assert!(error.is_store(), "{error}");
    assert_refusal(&error.to_string(), &elsewhere.address());
    assert_eq!(elsewhere.heard(), Vec::<Vec<String>>::new());
    let kept = Kept::on(with_password(url).accept_plain_text()).await;
    assert!(!kept.lives(&mint()).await);
    assert!(elsewhere.count("AUTH") > 0);
}

#[tokio::test]
async fn a_primary_that_sentinels_name_on_another_machine_is_not_asked_in_plain_text() {
    let elsewhere = elsewhere().await;
    let named = format!("*2\r\n{}{}", bulk(&from_outside().to_string()), bulk(&elsewhere.port().to_string()));
    let sentinel = FakeServer::start(LOCAL, move |command, _| match command[0].as_str() {
        "SENTINEL" => Said::This(named.clone()),
        _ => Said::AsUsual,
    })
    .await;
    let url = format!("redis+sentinel://{}/cloakroom", sentinel.address());
    for builder in [with_password(url.clone()), with_password(url.clone()).near_cache(NearCache::default())] {
        let error = builder.connect().await.map(drop).unwrap_err();
        assert!(error.is_store(), "{error}");
        assert_refusal(&error.to_string(), &elsewhere.address());
    }
    assert!(sentinel.count("SENTINEL") > 0);
    assert_eq!(elsewhere.heard(), Vec::<Vec<String>>::new());
    let kept = Kept::on(with_password(url).accept_plain_text()).await;
    assert!(!kept.lives(&mint()).await);
    assert!(elsewhere.count("AUTH") > 0);
}
