//! WebSockets through each proxy.

use crate::on_each_proxy;
use crate::proxy::{Kind, Proxy};
use crate::site::Site;
use crate::support::eventually;

on_each_proxy! {
    a_websocket_is_opened_for_whoever_is_signed_in_and_outlives_the_sign_out,
    a_websocket_of_another_site_is_refused,
}

fn a_websocket_is_opened_for_whoever_is_signed_in_and_outlives_the_sign_out(kind: Kind) {
    let site = Site::start(&[]);
    let proxy = Proxy::start(kind, &site);
    let ada = site.sign_in("ada");
    let cookie = ("Cookie", &*ada.cookie);
    let (answer, mut socket) = proxy.open_socket(&[cookie, ("Cloakroom", "?1;user=\"root\"")]);
    assert_eq!(answer.status, 101, "{}", proxy.logs());
    assert_eq!(socket.echo("hello"), "hello");
    assert_eq!(proxy.application.take_one().variable("HTTP_CLOAKROOM"), [ada.named("\"ada\"")]);
    site.revoke(&ada);
    eventually("no socket is opened any more", || (proxy.open_socket(&[cookie]).0.status == 401).then_some(()));
    assert_eq!(socket.echo("still there"), "still there");
    proxy.application.take();
    assert_eq!(proxy.open_socket(&[]).0.status, 401);
    assert_eq!(proxy.application.take().len(), 0);
}

fn a_websocket_of_another_site_is_refused(kind: Kind) {
    let site = Site::start(&[]);
    let proxy = Proxy::start(kind, &site);
    let ada = site.sign_in("ada");
    for (header, status) in [
        (("Origin", "https://evil.example"), 403),
        (("Sec-Fetch-Site", "cross-site"), 403),
        (("Origin", "https://app.example"), 101),
    ] {
        assert_eq!(proxy.open_socket(&[("Cookie", &ada.cookie), header]).0.status, status, "{header:?}");
        assert_eq!(proxy.application.take().len(), usize::from(status == 101));
    }
}
