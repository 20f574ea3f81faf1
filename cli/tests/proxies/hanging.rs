//! The service hangs: the proxy waits for three seconds and lets nobody in.

use crate::browser::PAGE;
use crate::on_each_real_proxy;
use crate::proxy::{Kind, Proxy};
use crate::site::Site;
use crate::support::eventually;

on_each_real_proxy! {
    while_the_service_does_not_answer_nobody_reaches_the_application,
}

fn while_the_service_does_not_answer_nobody_reaches_the_application(kind: Kind) {
    let status = match kind {
        Kind::Nginx => 500,
        Kind::Caddy26 | Kind::Caddy211 => 504,
        Kind::Envoy => 503,
        Kind::Traefik => unreachable!("it waits for half a minute"),
    };
    let site = Site::start(&[]);
    let proxy = Proxy::start(kind, &site);
    let ada = site.sign_in("ada");
    site.service.signal("-STOP");
    assert_eq!(proxy.get(&[("Cookie", &ada.cookie), PAGE]).status, status, "{}", proxy.logs());
    assert_eq!(proxy.application.take().len(), 0);
    site.service.signal("-CONT");
    eventually("the service answers again", || (proxy.get(&[("Cookie", &ada.cookie)]).status == 200).then_some(()));
}
