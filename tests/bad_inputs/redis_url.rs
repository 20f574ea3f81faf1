//! Addresses that lead nowhere good. None of them is printed with its password.

use cloakroom::store::Redis;

use crate::support::RedisServer;

#[tokio::test]
async fn an_address_that_cannot_be_right_is_refused_with_the_reason_and_without_the_password() {
    let cases = [
        ("redis://u:hunter2@redis.example.com/0", "plain text"),
        ("redis://:hunter2@10.0.0.7:6379", "plain text"),
        ("valkey://u:hunter2@[2001:db8::1]/", "plain text"),
        ("redis://u:hunter2@localhost.evil.example", "plain text"),
        ("redis://u:hunter2@127.0.0.1.evil.example", "plain text"),
        ("redis://u:hunter2@127.0.0.1/0?tls=yes", "unknown parameter `tls`"),
        ("redis://u:hunter2@127.0.0.1/0?password=hunter2", "unknown parameter `password`"),
        ("http://u:hunter2@127.0.0.1", "scheme `http`"),
        ("redis+sentinel://u:hunter2@127.0.0.1", "must name the service"),
        ("redis+sentinel://u:hunter2@127.0.0.1/main/nine", "database number"),
        ("rediss+sentinel://u:hunter2@127.0.0.1/main?tls=yes", "unknown parameter `tls`"),
        ("u:hunter2@127.0.0.1", "scheme"),
        ("hunter2", "not a URL"),
        ("redis://u:hunter2@127.0.0.1:notaport", "not a URL"),
        ("redis://u:hunter2@127.0.0.1/hunter2", "database number"),
        // an unescaped slash ends the password early
        ("redis://u:12/hunter2@127.0.0.1", "plain text"),
        ("", "not a URL"),
    ];
    for (url, reason) in cases {
        let error = Redis::builder(url).connect().await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(error.is_config(), "{url}: {shown}");
        assert!(shown.to_lowercase().contains(&reason.to_lowercase()), "{url}: {shown}");
        assert!(!shown.contains("hunter2"), "{url}: {shown}");
    }
}

#[tokio::test]
async fn a_prefix_that_could_reach_other_keys_is_refused() {
    let server = RedisServer::start();
    let long = "p".repeat(129);
    for prefix in ["", "a b:", "user:", "session:user:", "s*:", "s?:", "[s]:", "{s}:", "s\\:", "s\n:", "größe:", &long]
    {
        let error = Redis::builder(server.url()).prefix(prefix).connect().await.unwrap_err();
        assert!(error.is_config() && error.to_string().contains("prefix"), "{prefix}: {error}");
    }
    Redis::builder(server.url()).prefix("session:app-a:").connect().await.unwrap();
}

#[tokio::test]
async fn a_server_that_refuses_says_why_and_the_password_is_not_shown() {
    let server = RedisServer::start();
    let mut client = server.client();
    redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("correct-horse").exec(&mut client).unwrap();
    let wrong = format!("redis://:hunter2@127.0.0.1:{}", server.port());
    for (url, reason) in
        [(wrong, "WRONGPASS"), (format!("redis://:correct-horse@127.0.0.1:{}/99", server.port()), "DB")]
    {
        let error = Redis::builder(url).connect().await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(error.is_store() || error.is_config(), "{shown}");
        assert!(shown.contains(reason), "{shown}");
        assert!(!shown.contains("hunter2") && !shown.contains("correct-horse"), "{shown}");
    }
}
