//! The service is asked over a Unix socket, as the guide says it is written.

use crate::on_each_real_proxy;
use crate::proxy::{Changes, Kind, Proxy};
use crate::site::Site;

on_each_real_proxy! {
    the_service_is_asked_over_a_unix_socket,
}

fn the_service_is_asked_over_a_unix_socket(kind: Kind) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("cloakroom.sock");
    let path = path.to_str().expect("UTF-8");
    let site = Site::start(&["--listen", &format!("unix:{path}")]);
    let tcp = format!("127.0.0.1:{}", site.port());
    let (documented, own) = match kind {
        Kind::Nginx => (format!("server {tcp};"), format!("server unix:{path};")),
        Kind::Caddy26 | Kind::Caddy211 => (format!("forward_auth {tcp}"), format!("forward_auth unix/{path}")),
        Kind::Envoy => {
            let port = site.port();
            (
                format!("socket_address: {{ address: 127.0.0.1, port_value: {port} }}"),
                format!("pipe: {{ path: {path} }}"),
            )
        }
        Kind::Traefik => unreachable!("it needs TCP"),
    };
    let proxy = Proxy::start_with(kind, &site, Changes { replaced: &[(&documented, &own)], ..Changes::default() });
    let ada = site.sign_in("ada");
    assert_eq!(proxy.get(&[("Cookie", &ada.cookie)]).status, 200, "{}", proxy.logs());
    assert_eq!(proxy.application.take_one().all("cloakroom"), [ada.named("\"ada\"")]);
    assert_eq!(proxy.get(&[]).status, 401);
}
