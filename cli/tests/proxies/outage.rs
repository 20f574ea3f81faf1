//! The store or the service is away: nobody is let in, and the browser sees what the guide says.

use crate::browser::PAGE;
use crate::on_each_proxy;
use crate::proxy::{Kind, Proxy};
use crate::site::Site;
use crate::support::eventually;

on_each_proxy! {
    while_the_store_is_away_nobody_reaches_the_application,
    while_the_service_is_away_nobody_reaches_the_application,
}

fn while_the_store_is_away_nobody_reaches_the_application(kind: Kind) {
    let status = match kind {
        Kind::Nginx => 500,
        Kind::Caddy26 | Kind::Caddy211 | Kind::Traefik | Kind::Envoy => 503,
    };
    let site = Site::start(&["--no-near-cache"]);
    let proxy = Proxy::start(kind, &site);
    let ada = site.sign_in("ada");
    let cookie = ("Cookie", &*ada.cookie);
    site.redis.pause();
    for method in ["GET", "POST", "HEAD"] {
        let answer = proxy.send(method, "/", &[cookie, PAGE], "");
        assert_eq!((answer.status, answer.all("location")), (status, vec![]), "{method}");
    }
    assert_eq!(proxy.open_socket(&[cookie]).0.status, status);
    assert_eq!(proxy.application.take().len(), 0);
    site.redis.resume();
    eventually("the store is back", || (proxy.get(&[cookie]).status == 200).then_some(()));
}

fn while_the_service_is_away_nobody_reaches_the_application(kind: Kind) {
    let status = match kind {
        Kind::Nginx | Kind::Traefik => 500,
        Kind::Caddy26 | Kind::Caddy211 => 502,
        Kind::Envoy => 503,
    };
    let mut site = Site::start(&[]);
    let proxy = Proxy::start(kind, &site);
    let ada = site.sign_in("ada");
    assert_eq!(proxy.get(&[("Cookie", &ada.cookie)]).status, 200);
    proxy.application.take();
    site.service.kill();
    for method in ["GET", "POST", "HEAD"] {
        let answer = proxy.send(method, "/", &[("Cookie", &ada.cookie), PAGE], "");
        assert_eq!((answer.status, answer.all("location")), (status, vec![]), "{method}");
    }
    assert_eq!(proxy.open_socket(&[("Cookie", &ada.cookie)]).0.status, status);
    assert_eq!(proxy.application.take().len(), 0);
}
