//! What a scenario mounts its handlers with, on actix-web. The names are those of axum, which `on_axum` gives it.

use std::borrow::Cow;
use std::future::{Future, Ready, ready};
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::StatusCode as ActixStatus;
use actix_web::http::header::{HeaderMap as ActixHeaders, HeaderName as ActixName, HeaderValue as ActixValue};
use actix_web::{
    App, FromRequest, HttpMessage as _, HttpRequest, HttpResponse, Resource, ResponseError, Route, test, web,
};
use axum::body::Body;
use axum::http::{self, StatusCode, header};
use cloakroom::{Error, Session, web::Visit};
use send_wrapper::SendWrapper;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use super::browser::Serve;

/// An application: routes, and the layers around each of them.
#[derive(Clone, Default)]
pub struct Router {
    routes: Vec<Mounted>,
    service: Arc<OnceCell<SendWrapper<InService>>>,
}

#[derive(Clone)]
struct Mounted {
    path: String,
    route: MethodRouter,
    /// From the innermost to the outermost.
    layers: Vec<Layer>,
    states: Vec<Arc<dyn Fn(Resource) -> Resource + Send + Sync>>,
}

type Layer = Arc<dyn Fn(Next) -> LocalFuture<Next> + Send + Sync>;
type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;
type Next = Rc<dyn Fn(ServiceRequest) -> LocalFuture<Result<ServiceResponse, actix_web::Error>>>;
type InService = Rc<dyn Fn(http::Request<Body>) -> LocalFuture<http::Response<Body>>>;

impl Router {
    pub fn new() -> Router {
        Router::default()
    }

    pub fn route(mut self, path: &str, route: MethodRouter) -> Router {
        self.routes.push(Mounted { path: path.to_owned(), route, layers: Vec::new(), states: Vec::new() });
        self
    }

    /// Answers whatever no route answers.
    pub fn fallback<Args>(self, handler: impl Handler<Args>) -> Router {
        self.route("/{rest:.*}", any(handler))
    }

    pub fn merge(mut self, other: Router) -> Router {
        self.routes.extend(other.routes);
        self
    }

    pub fn nest(mut self, prefix: &str, other: Router) -> Router {
        self.routes
            .extend(other.routes.into_iter().map(|route| Mounted { path: prefix.to_owned() + &route.path, ..route }));
        self
    }

    pub fn with_state<T: Clone + Send + Sync + 'static>(mut self, state: T) -> Router {
        let state: Arc<dyn Fn(Resource) -> Resource + Send + Sync> =
            Arc::new(move |resource| resource.app_data(State(state.clone())));
        self.routes.iter_mut().for_each(|route| route.states.push(state.clone()));
        self
    }

    /// Wraps the routes that are there so far, as axum does.
    pub fn layer<L, B>(self, layer: L) -> Router
    where
        L: Transform<NextService, ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
        L: Clone + Send + Sync + 'static,
        B: MessageBody + 'static,
    {
        self.wrapped_in(move || layer.clone())
    }

    /// Wraps the routes that are there so far in a middleware that is made for each of them.
    pub fn wrapped_in<L, B>(mut self, layer: impl Fn() -> L + Send + Sync + 'static) -> Router
    where
        L: Transform<NextService, ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
        B: MessageBody + 'static,
    {
        let layer: Layer = Arc::new(move |next| {
            let layer = layer();
            Box::pin(async move {
                let service = Rc::new(layer.new_transform(NextService(next)).await.ok().expect("a middleware"));
                Rc::new(move |request: ServiceRequest| {
                    let answer = service.call(request);
                    Box::pin(async { Ok(answer.await?.map_into_boxed_body()) }) as LocalFuture<_>
                }) as Next
            })
        });
        self.routes.iter_mut().for_each(|route| route.layers.push(layer.clone()));
        self
    }

    /// The application as actix-web serves it, without a network.
    async fn service(&self) -> InService {
        let mut app = App::new();
        for Mounted { path, route, layers, states } in &self.routes {
            let resource = states.iter().fold(web::resource(path.as_str()), |resource, state| state(resource));
            app = app.service(resource.route((route.0)()).wrap(Layers(layers.clone())));
        }
        let service = Rc::new(test::init_service(app).await);
        Rc::new(move |request| {
            let service = service.clone();
            Box::pin(async move {
                match service.call(asked(request).await.to_request()).await {
                    Ok(response) => answered(response.map_into_boxed_body().into()).await,
                    Err(error) => answered(error.error_response()).await,
                }
            })
        })
    }
}

impl Serve for Router {
    fn serve(&self, request: http::Request<Body>) -> Pin<Box<dyn Future<Output = http::Response<Body>> + Send>> {
        let app = self.clone();
        // a test is polled by one thread, which is where its application lives
        Box::pin(SendWrapper::new(async move {
            let service = app.service.get_or_init(async || SendWrapper::new(app.service().await)).await;
            (service.deref().clone())(request).await
        }))
    }
}

/// The layers of a route, as one middleware of actix-web.
struct Layers(Vec<Layer>);

impl<S> Transform<S, ServiceRequest> for Layers
where
    S: Service<ServiceRequest, Response = ServiceResponse, Error = actix_web::Error> + 'static,
    S::Future: 'static,
{
    type Response = ServiceResponse;
    type Error = actix_web::Error;
    type Transform = NextService;
    type InitError = ();
    type Future = LocalFuture<Result<NextService, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let layers = self.0.clone();
        Box::pin(async move {
            let mut next: Next = Rc::new(move |request| Box::pin(service.call(request)));
            for layer in layers {
                next = layer(next).await;
            }
            Ok(NextService(next))
        })
    }
}

/// What is inside a layer.
pub struct NextService(Next);

impl Service<ServiceRequest> for NextService {
    type Response = ServiceResponse;
    type Error = actix_web::Error;
    type Future = LocalFuture<Result<ServiceResponse, actix_web::Error>>;

    actix_web::dev::always_ready!();

    fn call(&self, request: ServiceRequest) -> Self::Future {
        (self.0)(request)
    }
}

async fn asked(request: http::Request<Body>) -> test::TestRequest {
    let (head, body) = request.into_parts();
    let mut asked = test::TestRequest::with_uri(&head.uri.to_string())
        .method(head.method.as_str().parse().unwrap())
        .set_payload(axum::body::to_bytes(body, usize::MAX).await.unwrap());
    for (name, value) in &head.headers {
        asked = asked.append_header((name.as_str(), value.as_bytes()));
    }
    asked
}

async fn answered(response: HttpResponse) -> http::Response<Body> {
    let mut answered = http::Response::builder().status(response.status().as_u16());
    for (name, value) in response.headers() {
        let mut same = http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
        same.set_sensitive(value.is_sensitive());
        answered = answered.header(name.as_str(), same);
    }
    // as its server writes it
    if let BodySize::Sized(length) = response.body().size() {
        answered = answered.header(header::CONTENT_LENGTH, length);
    }
    if let Some(error) = response.extensions().get::<Error>() {
        answered = answered.extension(error.clone());
    }
    let body = actix_web::body::to_bytes(response.into_body()).await.expect("a body that does not fail");
    answered.body(Body::from(body)).unwrap()
}

/// A handler, and the method that it answers to.
#[derive(Clone)]
pub struct MethodRouter(Arc<dyn Fn() -> Route + Send + Sync>);

pub fn any<Args>(handler: impl Handler<Args>) -> MethodRouter {
    MethodRouter(Arc::new(move || handler.clone().mounted(web::route())))
}

pub fn get<Args>(handler: impl Handler<Args>) -> MethodRouter {
    MethodRouter(Arc::new(move || handler.clone().mounted(web::get())))
}

pub fn post<Args>(handler: impl Handler<Args>) -> MethodRouter {
    MethodRouter(Arc::new(move || handler.clone().mounted(web::post())))
}

/// A handler as axum takes it: called once for each clone.
pub trait Handler<Args>: Clone + Send + Sync + 'static {
    fn mounted(self, route: Route) -> Route;
}

macro_rules! handlers {
    ($($argument:ident)*) => {
        impl<F, Answer, $($argument),*> Handler<($($argument,)*)> for F
        where
            F: FnOnce($($argument),*) -> Answer + Clone + Send + Sync + 'static,
            Answer: Future<Output: IntoResponse> + 'static,
            $($argument: FromRequest + 'static,)*
        {
            #[allow(non_snake_case)]
            fn mounted(self, route: Route) -> Route {
                route.to(move |$($argument: $argument),*| {
                    let answer = self.clone()($($argument),*);
                    async { answer.await.into_response() }
                })
            }
        }
    };
}

handlers!();
handlers!(A);
handlers!(A B);
handlers!(A B C);

/// An argument of a handler, with its inside in the open as axum has it.
macro_rules! extractors {
    ($($name:ident),*) => {$(
        pub struct $name<T>(pub T);

        impl<T> Deref for $name<T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.0
            }
        }
    )*};
}

extractors!(Path, Query, State);

impl<T: DeserializeOwned + 'static> FromRequest for Path<T> {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let found = web::Path::extract(request).into_inner();
        ready(found.map(|found| Path(web::Path::into_inner(found))))
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Query<T> {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let found = web::Query::from_query(request.query_string());
        ready(found.map(|found| Query(web::Query::into_inner(found))).map_err(Into::into))
    }
}

impl<T: Clone + 'static> FromRequest for State<T> {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(State(request.app_data::<State<T>>().expect("the state is there").0.clone())))
    }
}

/// The headers of a request, as the framework has them.
pub struct Headers(pub ActixHeaders);

impl FromRequest for Headers {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Headers(request.headers().clone())))
    }
}

/// The visit of a request, which its session layer left there.
pub struct Kept(pub Visit);

impl FromRequest for Kept {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Kept(request.extensions().get::<Visit>().expect("there is a session layer").clone())))
    }
}

pub type Response = HttpResponse;

/// What a handler may answer.
pub trait IntoResponse {
    fn into_response(self) -> HttpResponse;
}

impl IntoResponse for HttpResponse {
    fn into_response(self) -> HttpResponse {
        self
    }
}

impl IntoResponse for () {
    fn into_response(self) -> HttpResponse {
        HttpResponse::Ok().finish()
    }
}

impl IntoResponse for &'static str {
    fn into_response(self) -> HttpResponse {
        HttpResponse::Ok().body(self)
    }
}

impl IntoResponse for String {
    fn into_response(self) -> HttpResponse {
        HttpResponse::Ok().body(self)
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self) -> HttpResponse {
        HttpResponse::new(ActixStatus::from_u16(self.as_u16()).unwrap())
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> HttpResponse {
        let mut response = self.1.into_response();
        *response.status_mut() = self.0.into_response().status();
        response
    }
}

impl<N: AsRef<str>, V: AsRef<str>, const MANY: usize, T: IntoResponse> IntoResponse for ([(N, V); MANY], T) {
    fn into_response(self) -> HttpResponse {
        let mut response = self.1.into_response();
        for (name, value) in self.0 {
            let value = ActixValue::from_str(value.as_ref()).unwrap();
            response.headers_mut().insert(name.as_ref().parse::<ActixName>().unwrap(), value);
        }
        response
    }
}

impl<const MANY: usize, N: AsRef<str>, V: AsRef<str>, T: IntoResponse> IntoResponse
    for (StatusCode, [(N, V); MANY], T)
{
    fn into_response(self) -> HttpResponse {
        (self.0, (self.1, self.2)).into_response()
    }
}

impl<T: IntoResponse, E: ResponseError + 'static> IntoResponse for Result<T, E> {
    fn into_response(self) -> HttpResponse {
        self.map_or_else(HttpResponse::from_error, IntoResponse::into_response)
    }
}

pub struct Html<T>(pub T);

impl<T: Into<Cow<'static, str>>> IntoResponse for Html<T> {
    fn into_response(self) -> HttpResponse {
        HttpResponse::Ok().content_type("text/html; charset=utf-8").body(self.0.into().into_owned())
    }
}

pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> HttpResponse {
        HttpResponse::Ok().json(self.0)
    }
}

pub struct Redirect(String);

impl Redirect {
    pub fn to(page: &str) -> Redirect {
        Redirect(page.to_owned())
    }
}

impl IntoResponse for Redirect {
    fn into_response(self) -> HttpResponse {
        HttpResponse::SeeOther().insert_header((header::LOCATION.as_str(), self.0)).finish()
    }
}

/// Puts a middleware of the application around the routes that are there so far.
pub fn around<F, Answer>(app: Router, middleware: F) -> Router
where
    F: Fn(Passing) -> Answer + Clone + Send + Sync + 'static,
    Answer: Future<Output = Result<Passed, Stopped>> + 'static,
{
    app.layer(Around(middleware))
}

#[derive(Clone)]
struct Around<F>(F);

impl<F, Answer> Transform<NextService, ServiceRequest> for Around<F>
where
    F: Fn(Passing) -> Answer + Clone + 'static,
    Answer: Future<Output = Result<Passed, Stopped>> + 'static,
{
    type Response = ServiceResponse;
    type Error = actix_web::Error;
    type Transform = NextService;
    type InitError = ();
    type Future = Ready<Result<NextService, ()>>;

    fn new_transform(&self, NextService(next): NextService) -> Self::Future {
        let middleware = self.0.clone();
        ready(Ok(NextService(Rc::new(move |request| {
            let answer = middleware(Passing { request, next: next.clone() });
            Box::pin(async {
                match answer.await {
                    Ok(passed) => Ok(passed.0),
                    Err(Stopped::Error(error)) => Err(error),
                    Err(Stopped::Status(status)) => {
                        Err(actix_web::error::InternalError::from_response("stopped", status.into_response()).into())
                    }
                }
            })
        }))))
    }
}

/// A request on its way through a middleware.
pub struct Passing {
    request: ServiceRequest,
    next: Next,
}

impl Passing {
    pub fn path(&self) -> String {
        self.request.path().to_owned()
    }

    pub async fn session(&self) -> Result<Session, Error> {
        Ok(Session::extract(self.request.request()).await?)
    }

    pub async fn go_on(self) -> Result<Passed, Stopped> {
        (self.next)(self.request).await.map(Passed).map_err(Stopped::Error)
    }
}

/// A response on its way out.
pub struct Passed(ServiceResponse);

impl Passed {
    pub fn error(&self) -> Option<Error> {
        self.0.response().extensions().get().cloned()
    }

    pub fn append(&mut self, name: &str, value: &str) {
        let value = ActixValue::from_str(value).unwrap();
        self.0.headers_mut().append(name.parse().unwrap(), value);
    }

    /// Puts another response in its place.
    pub fn replace(self, response: impl IntoResponse) -> Passed {
        Passed(self.0.into_response(response.into_response()))
    }

    /// Keeps its head, and puts another body into it.
    pub fn with_body(mut self, content_type: &'static str, body: &'static str) -> Passed {
        self.0.headers_mut().insert(actix_web::http::header::CONTENT_TYPE, ActixValue::from_static(content_type));
        Passed(self.0.map_body(|_, _| actix_web::body::BoxBody::new(body)))
    }
}

/// Why a middleware did not let a request through.
pub enum Stopped {
    Error(actix_web::Error),
    Status(StatusCode),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Stopped {
        Stopped::Error(error.into())
    }
}
