//! Users with their browsers, servers over one store, and the oracle that judges what they see.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, Uri, header};
use cloakroom::store::Store;
use cloakroom::{Clock, Config, SessionId, Sessions, TokenFormat, web::Visit};

use crate::faults::{Faulty, Plan};
use crate::oracle::{Millis, Oracle, Wrong};
use crate::place::Place;
use crate::server::{self, NAMES, RULES, Said, Seen, Servers, Wanted};
use crate::story::{Act, Ask, BROWSERS, Fate, Order, Step, USERS};
use copies::Copy;
use several::Brought;

mod clear;
mod copies;
mod several;
mod unclear;

/// The beginning of time.
const START: u64 = 1_775_133_296;

/// Everything there is.
pub(crate) struct World<P: Place> {
    place: P,
    clock: Clock,
    /// `None` only between two lives of the server.
    running: Option<Running<P>>,
    jars: [Jar; BROWSERS.len()],
    oracle: Oracle,
    copy: Option<Copy>,
    numbers: u64,
    /// How many tokens were tried.
    tried: usize,
}

/// A browser's cookies of our name.
#[derive(Clone, Default)]
struct Jar {
    /// The one that answers set and remove.
    own: Option<String>,
    /// Those at other paths, and whether they come before its own.
    planted: Vec<(String, bool)>,
    /// The one of the server with plain tokens.
    plain: Option<String>,
}

impl Jar {
    const MOST_PLANTED: usize = 2;

    /// As a request brings them to a server.
    fn tokens(&self, server: usize) -> Vec<String> {
        if RULES[server].plain {
            return self.plain.iter().cloned().collect();
        }
        let planted =
            |when: bool| self.planted.iter().filter(move |(_, before)| *before == when).map(|(token, _)| token);
        planted(true).chain(&self.own).chain(planted(false)).cloned().collect()
    }

    /// The one that this server's answers set and remove.
    fn own(&mut self, server: usize) -> &mut Option<String> {
        if RULES[server].plain { &mut self.plain } else { &mut self.own }
    }

    fn plant(&mut self, token: String, before: bool) {
        self.planted.push((token, before));
        if self.planted.len() > Jar::MOST_PLANTED {
            self.planted.remove(0);
        }
    }
}

/// The servers over their store.
struct Running<P: Place> {
    store: Faulty<P>,
    /// The same store for those who have a near cache.
    near: Faulty<P>,
    servers: Servers,
    onlooker: Onlooker,
    /// Looks through a near cache.
    near_onlooker: Onlooker,
}

/// Looks without leaving a trace, by tokens of either kind.
struct Onlooker {
    secret: Sessions,
    plain: Sessions,
}

impl<P: Place> Running<P> {
    async fn at(place: &P, clock: &Clock) -> Running<P> {
        let store = place.open(clock).await;
        Running::over(place, store).await
    }

    async fn over(place: &P, store: P::Store) -> Running<P> {
        let near = place.open_near(&store).await;
        let store = Faulty::new(store);
        let near = store.nearer(near);
        let servers = Servers::over(&store, &near);
        Running { servers, onlooker: Onlooker::over(&store), near_onlooker: Onlooker::over(&near), store, near }
    }
}

impl Onlooker {
    fn over(store: &(impl Store + Clone)) -> Onlooker {
        let by_tokens = |format: TokenFormat| {
            let longest = server::operators_terms(format == TokenFormat::Plain).absolute_lifetime;
            let config = Config::builder().token_format(format).absolute_lifetime(longest);
            // a server that others keep busy answers late
            let config = config.store_timeout(Duration::from_secs(20)).build();
            Sessions::new(store.clone(), config.expect("nothing contradicts that"))
        };
        Onlooker { secret: by_tokens(TokenFormat::Secret), plain: by_tokens(TokenFormat::Plain) }
    }
}

/// What a browser got, and what the application knows of it.
pub(crate) struct Answer {
    status: u16,
    said: Option<Said>,
    cookie: Option<Cookie>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Cookie {
    /// With how long the browser keeps it, in seconds.
    Set(String, Option<u64>),
    Removed,
}

/// A request on its way.
#[derive(Clone)]
struct Sent {
    ask: Ask,
    /// The one that counts.
    token: Option<String>,
    /// All that it brings.
    tokens: Vec<String>,
    wanted: Wanted,
}

impl<P: Place> World<P> {
    pub(crate) async fn new() -> World<P> {
        let clock = Clock::manual(UNIX_EPOCH + Duration::from_secs(START));
        let mut place = P::new();
        place.set_time(clock.now());
        let running = Some(Running::at(&place, &clock).await);
        let (jars, oracle) = Default::default();
        World { place, clock, running, jars, oracle, copy: None, numbers: 0, tried: 0 }
    }

    fn running(&self) -> &Running<P> {
        self.running.as_ref().expect("the server runs")
    }

    /// Runs a program. What was wrong, and after which step.
    pub(crate) async fn run(program: &[Step]) -> Result<(), (usize, Wrong)> {
        let mut world = World::<P>::new().await;
        for (nth, step) in program.iter().enumerate() {
            world.step(step).await.map_err(|wrong| (nth, wrong))?;
        }
        world.look_around(true).await.map_err(|wrong| (program.len(), wrong))
    }

    async fn step(&mut self, step: &Step) -> Result<(), Wrong> {
        match step {
            Step::Ask(ask) => self.ask(ask).await?,
            Step::Both(first, second, order) => self.both(first, second, *order).await?,
            Step::Wait(seconds) => {
                self.clock.advance(Duration::from_secs(*seconds) + P::LAST_MOMENT);
                self.place.set_time(self.clock.now());
                self.settle().await;
            }
            Step::Restart | Step::Kill(_) => self.restart(step).await?,
            Step::Move => self.move_on().await?,
            Step::Export => self.export().await?,
            Step::Import(ask, order) => self.import(ask, *order).await?,
            Step::Plant { browser, from, before } => {
                if let Some(token) = self.jars[*from].own.clone() {
                    self.jars[*browser].plant(token, *before);
                }
            }
        }
        self.look_into_the_store(matches!(step, Step::Import(..) | Step::Move | Step::Kill(_))).await
    }

    /// Whoever reads from a near cache sees what was changed a moment later, and a clock that was set is noticed a moment later.
    /// That moment is over now.
    async fn settle(&self) {
        let Running { store, near, .. } = self.running();
        P::settle(store.inner(), near.inner()).await;
    }

    async fn ask(&mut self, ask: &Ask) -> Result<(), Wrong> {
        let mut sent = self.send(ask, self.jars[ask.browser].tokens(ask.server));
        let brought = self.brought(&sent.tokens, ask.server);
        sent.token = match &brought {
            Brought::One(token) => token.clone(),
            Brought::Rivals(_) | Brought::Unclear => None,
        };
        self.settle().await;
        self.running().store.plan(match &ask.fate {
            Fate::Trouble(troubles) => Plan::with_troubles(troubles),
            _ => Plan::smooth(),
        });
        let (polls, answer) = {
            let request = sent.request();
            let asked = self.running().servers.ask(ask.server, request);
            match ask.fate {
                Fate::HungUp(after) => (after, hang_up(asked, after).await),
                _ => (0, Some(asked.await)),
            }
        };
        let Plan { struck, wrong, .. } = self.running().store.plan(Plan::smooth());
        if let Some(wrong) = wrong {
            return Err(sent.says(wrong));
        }
        let answer = answer.map(|answer| Answer::of(answer, ask.server));
        if polls == 0 && matches!(ask.fate, Fate::Fine | Fate::Trouble(..)) {
            self.keep(ask, answer.as_ref());
        }
        match (brought, answer) {
            (Brought::One(_), Some(answer)) if !struck => self.clear(&sent, &answer).await,
            (Brought::One(_), answer) => self.unclear(&sent, answer.as_ref()).await,
            (Brought::Rivals(rivals), Some(answer)) if !struck => self.clear_of_rivals(&sent, &answer, &rivals).await,
            (_, answer) => self.unclear_of_several(&sent, &sent.tokens, answer.as_ref()).await,
        }
    }

    async fn both(&mut self, first: &Ask, second: &Ask, order: Order) -> Result<(), Wrong> {
        // each with its own cookie alone
        let sent = [first, second].map(|ask| {
            let own = self.jars[ask.browser].own(ask.server).iter().cloned().collect();
            self.send(ask, own)
        });
        self.settle().await;
        self.running().store.plan(Plan::with_pace(order.pace));
        let (one, other) = {
            let servers = &self.running().servers;
            let [one, other] = [0, 1].map(|nth| servers.ask(sent[nth].ask.server, sent[nth].request()));
            tokio::join!(one, other)
        };
        self.running().store.plan(Plan::smooth());
        let answers = [Answer::of(one, first.server), Answer::of(other, second.server)];
        let came = if order.swapped { [1, 0] } else { [0, 1] };
        for nth in came {
            self.keep(&sent[nth].ask, Some(&answers[nth]));
        }
        self.unclear_both(&sent, &answers).await
    }

    fn send(&mut self, ask: &Ask, tokens: Vec<String>) -> Sent {
        self.numbers += 1;
        let id = match ask.act {
            Act::SignOutDevice(nth) | Act::RevokeSession(nth) => self.oracle.id(nth),
            _ => None,
        };
        let wanted = Wanted { act: ask.act, number: self.numbers, now: self.clock.now(), id };
        Sent { ask: ask.clone(), token: tokens.first().cloned(), tokens, wanted }
    }

    fn keep(&mut self, ask: &Ask, answer: Option<&Answer>) {
        let own = self.jars[ask.browser].own(ask.server);
        match answer.and_then(|answer| answer.cookie.clone()) {
            Some(Cookie::Set(token, _)) => *own = Some(token),
            Some(Cookie::Removed) => *own = None,
            None => {}
        }
    }

    /// A cookie stays in the browser for as long as was chosen for its session.
    fn judge_age(&self, sent: &Sent, answer: &Answer) -> Result<(), Wrong> {
        let Some(Cookie::Set(token, age)) = &answer.cookie else { return Ok(()) };
        match self.oracle.session_of(token) {
            Some(nth) if !self.oracle.may_be_kept_for(nth, *age, sent.ask.server) => {
                Err(sent.says(format!("its cookie is kept for {age:?} seconds")))
            }
            _ => Ok(()),
        }
    }

    fn now(&self) -> Millis {
        millis(self.clock.now())
    }

    async fn restart(&mut self, step: &Step) -> Result<(), Wrong> {
        if !self.place.is_kept() {
            return Ok(());
        }
        let before = self.now();
        let killed = match step {
            Step::Kill(back) => Some(Clock::manual(self.clock.now() - Duration::from_secs(*back))),
            _ => None,
        };
        if let Some(clock) = killed {
            self.place.copy();
            self.clock = clock;
            self.place.set_time(self.clock.now());
        }
        // nobody opens a directory that is still open
        self.running = None;
        self.running = Some(Running::at(&self.place, &self.clock).await);
        let now = self.now();
        self.oracle.set_back(before, now, P::KEEPS_TIME);
        self.look_around(true).await
    }

    async fn move_on(&mut self) -> Result<(), Wrong> {
        let place = self.place.next();
        let target = place.open(&self.clock).await;
        if !P::move_all(self.running().store.inner(), &target).await? {
            return Ok(());
        }
        self.running = Some(Running::over(&place, target).await);
        self.place = place;
        self.look_around(true).await
    }

    /// Tries the tokens there are, and lists everybody's devices. With `all`, also tokens of sessions that have ended.
    async fn look_around(&mut self, all: bool) -> Result<(), Wrong> {
        for token in self.oracle.tokens(self.now(), all) {
            self.try_token(&token).await?;
        }
        for user in 0..USERS.len() {
            self.list(user).await?;
        }
        Ok(())
    }

    /// What a token opens, judged.
    async fn try_token(&mut self, token: &str) -> Result<bool, Wrong> {
        self.tried += 1;
        if self.looks_near() {
            self.settle().await;
        }
        let mut headers = HeaderMap::new();
        let Running { onlooker, near_onlooker, .. } = self.running();
        let onlooker = if self.looks_near() { near_onlooker } else { onlooker };
        let onlooker = if token.contains('.') { &onlooker.secret } else { &onlooker.plain };
        headers.insert(header::COOKIE, format!("__Host-sid={token}").parse().unwrap());
        let visit = Visit::begin(onlooker, &Method::GET, &Uri::from_static("/"), &headers).unwrap();
        let session = visit.visit().session().await.map_err(|error| error.to_string())?;
        session.peek();
        let seen = server::see(&session);
        if visit.finish(200).await.is_err() {
            return Err("a look failed".to_owned());
        }
        let opened = self.oracle.sees(Some(token), &seen, self.now(), true);
        opened.map(|opened| opened.is_some()).map_err(|wrong| format!("who looks with a token: {wrong}"))
    }

    /// Whether the token that is tried now is tried through a near cache: each other one is.
    fn looks_near(&self) -> bool {
        P::IS_ELSEWHERE && self.tried.is_multiple_of(2)
    }

    async fn list(&mut self, user: usize) -> Result<usize, Wrong> {
        let ids = server::listed(&self.running().onlooker.secret, USERS[user]).await;
        self.oracle.listed(user, &ids, self.now())?;
        Ok(ids.len())
    }

    /// What an operator sees of each session.
    async fn look_into_the_store(&mut self, may_return: bool) -> Result<(), Wrong> {
        self.place.look_inside(may_return)?;
        let now = self.now();
        for (nth, id) in self.oracle.ids().into_iter().enumerate() {
            let id = SessionId::parse(&id).unwrap();
            let terms = server::operators_terms(id.is_plain());
            let ends = P::ends(self.running().store.inner(), &id, &terms).await;
            self.oracle
                .ends(nth, ends.map(millis), now)
                .map_err(|wrong| format!("who looks into the store: {wrong}"))?;
        }
        Ok(())
    }
}

impl Sent {
    fn request(&self) -> Request<Body> {
        let mut request = Request::get("/");
        for token in &self.tokens {
            request = request.header(header::COOKIE, format!("{}={token}", RULES[self.ask.server].cookie()));
        }
        request.extension(self.wanted.clone()).body(Body::empty()).unwrap()
    }

    fn says(&self, wrong: impl std::fmt::Display) -> Wrong {
        format!("{} at {}: {wrong}", BROWSERS[self.ask.browser], NAMES[self.ask.server])
    }
}

impl Answer {
    fn of(response: Response<Body>, server: usize) -> Answer {
        let mut cookies = response.headers().get_all(header::SET_COOKIE).iter();
        let cookie = cookies.next().map(|line| {
            let mut parts = line.to_str().unwrap().split("; ");
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            assert_eq!(name, RULES[server].cookie());
            let age = parts.find_map(|part| part.strip_prefix("Max-Age=")).map(|age| age.parse().unwrap());
            if value.is_empty() { Cookie::Removed } else { Cookie::Set(value.to_owned(), age) }
        });
        assert!(cookies.next().is_none(), "more than one cookie is set");
        Answer { status: response.status().as_u16(), said: response.extensions().get().cloned(), cookie }
    }

    fn before(&self) -> Option<&Seen> {
        self.said.as_ref()?.before.as_ref()
    }

    fn set(&self) -> Option<&str> {
        match &self.cookie {
            Some(Cookie::Set(token, _)) => Some(token),
            _ => None,
        }
    }
}

/// Gives a request up after it was polled so often; its answer, if it was faster.
async fn hang_up<T>(request: impl Future<Output = T>, after: usize) -> Option<T> {
    let mut request = Box::pin(request);
    let mut polled = 0;
    std::future::poll_fn(|context| {
        polled += 1;
        match request.as_mut().poll(context) {
            std::task::Poll::Ready(answer) => std::task::Poll::Ready(Some(answer)),
            std::task::Poll::Pending if polled >= after => std::task::Poll::Ready(None),
            std::task::Poll::Pending => std::task::Poll::Pending,
        }
    })
    .await
}

fn millis(time: SystemTime) -> Millis {
    time.duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}
