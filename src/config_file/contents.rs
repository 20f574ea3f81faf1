//! What may stand in a configuration file: each setting of the builder, by its name.

use serde::Deserialize;

use super::reading::Span;
use super::store::StoreSettings;
use crate::config::{Config, ConfigBuilder, Csrf};
use crate::cookie::SameSite;
use crate::record::{OnLimit, OnReplay, TokenFormat};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
pub(super) struct Contents {
    idle_timeout: Option<Span>,
    absolute_lifetime: Option<Span>,
    no_absolute_lifetime: bool,
    touch_interval: Option<Span>,
    rotation_grace: Option<Span>,
    max_fields: Option<usize>,
    max_bytes: Option<usize>,
    store_timeout: Option<Span>,
    token_format: Option<TokenFormat>,
    cookie_name: Option<String>,
    same_site: Option<SameSite>,
    cookie_path: Option<String>,
    cookie_domain: Option<String>,
    cookie_partitioned: bool,
    cookie_max_age: Option<Span>,
    bearer_tokens: bool,
    bearer_token_header: Option<String>,
    rotate_every: Option<Span>,
    max_sessions_per_user: Option<usize>,
    on_limit: Option<OnLimit>,
    on_replay: Option<OnReplay>,
    sign_in_page: Option<String>,
    sign_in_next: Option<String>,
    csrf: Option<Csrf>,
    trust_origin: Vec<String>,
    plain_http_for_development: bool,
    pub(super) store: StoreSettings,
    /// The program's own, which reads it itself.
    pub(super) service: toml::Table,
}

impl Contents {
    /// Checks what a builder cannot: there the later of two calls counts, and a file has no order.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self.no_absolute_lifetime && self.absolute_lifetime.is_some() {
            true => Err("no_absolute_lifetime and absolute_lifetime contradict each other: set one of them"),
            false => Ok(()),
        }
    }

    /// Returns a builder with these settings.
    pub(super) fn builder(&self) -> ConfigBuilder {
        // without `..`: a key that is forgotten here does not compile
        let Contents {
            idle_timeout,
            absolute_lifetime,
            no_absolute_lifetime,
            touch_interval,
            rotation_grace,
            max_fields,
            max_bytes,
            store_timeout,
            token_format,
            cookie_name,
            same_site,
            cookie_path,
            cookie_domain,
            cookie_partitioned,
            cookie_max_age,
            bearer_tokens,
            bearer_token_header,
            rotate_every,
            max_sessions_per_user,
            on_limit,
            on_replay,
            sign_in_page,
            sign_in_next,
            csrf,
            trust_origin,
            plain_http_for_development,
            store: _,
            service: _,
        } = self;
        let origins = trust_origin.iter();
        let builder = Config::builder()
            .set(idle_timeout, |builder, Span(idle)| builder.idle_timeout(*idle))
            .set(absolute_lifetime, |builder, Span(absolute)| builder.absolute_lifetime(*absolute))
            .turn_on(*no_absolute_lifetime, ConfigBuilder::no_absolute_lifetime)
            .set(touch_interval, |builder, Span(interval)| builder.touch_interval(*interval))
            .set(rotation_grace, |builder, Span(grace)| builder.rotation_grace(*grace))
            .set(max_fields, |builder, fields| builder.max_fields(*fields))
            .set(max_bytes, |builder, bytes| builder.max_bytes(*bytes))
            .set(store_timeout, |builder, Span(timeout)| builder.store_timeout(*timeout))
            .set(token_format, |builder, format| builder.token_format(*format))
            .set(cookie_name, |builder, name| builder.cookie_name(name))
            .set(same_site, |builder, site| builder.same_site(*site))
            .set(cookie_path, |builder, path| builder.cookie_path(path))
            .set(cookie_domain, |builder, domain| builder.cookie_domain(domain))
            .turn_on(*cookie_partitioned, ConfigBuilder::cookie_partitioned)
            .set(cookie_max_age, |builder, Span(age)| builder.cookie_max_age(*age))
            .turn_on(*bearer_tokens, ConfigBuilder::bearer_tokens)
            .set(bearer_token_header, |builder, name| builder.bearer_token_header(name))
            .set(rotate_every, |builder, Span(interval)| builder.rotate_every(*interval))
            .set(max_sessions_per_user, |builder, sessions| builder.max_sessions_per_user(*sessions))
            .set(on_limit, |builder, policy| builder.on_limit(*policy))
            .set(on_replay, |builder, policy| builder.on_replay(*policy))
            .set(sign_in_page, |builder, path| builder.sign_in_page(path))
            .set(sign_in_next, |builder, parameter| builder.sign_in_next(parameter))
            .set(csrf, |builder, csrf| builder.csrf(*csrf))
            .turn_on(*plain_http_for_development, ConfigBuilder::plain_http_for_development);
        origins.fold(builder, |builder, origin| builder.trust_origin(origin))
    }
}

impl ConfigBuilder {
    /// Makes a setting if the file has it.
    fn set<T>(self, value: &Option<T>, setting: impl FnOnce(ConfigBuilder, &T) -> ConfigBuilder) -> ConfigBuilder {
        match value {
            Some(value) => setting(self, value),
            None => self,
        }
    }

    fn turn_on(self, is_on: bool, setting: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> ConfigBuilder {
        if is_on { setting(self) } else { self }
    }
}
