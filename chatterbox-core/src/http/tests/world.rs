//! A REST API on memory twins, with a clock to be set, and a client that keeps everything about an answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::app::accounts::{Accounts, AuthLimits, LiveSessions, RevokeSessions, SuspendUser};
use crate::app::messages::SendRoomMessage;
use crate::app::rooms::{Directory, JoinRoom};
use crate::app::{Actor, App, Principal, Quotas};
use crate::auth::{AccessTokens, Cursors, HashingLimits, HashingParams, KeyRing, Passwords, RefreshTokens};
use crate::clock::{Clock, Timestamp};
use crate::http::client_ip::TrustedProxies;
use crate::http::{AllowedOrigins, ApiLimits, Body, Health, HealthCheck, RestApi, RestParts};
use crate::hub::{Channel, Hub};
use crate::ids::{NodeId, SessionId, UserId};
use crate::layers::{AuthLimit, Buckets, Enqueuer, Presences, Publisher, RateLimit, Receipts, UserLimits};
use crate::log::{Announcer, Deliveries, Encoder, Log};
use crate::memory::{MemoryPresence, MemoryQueue, MemoryRateLimiter, MemoryStores};
use crate::ports::rate_limit::Quota;
use crate::ports::storage::Stores;
use crate::role::Role;
use crate::stack::{Layers, Stack};
use crate::tasks::Tasks;
use crate::testkit::{ManualClock, SeededIds, samples};
use crate::views::Names;

pub(super) const SECRET: &[u8] = b"a secret of more than thirty-two bytes";
pub(super) const PASSWORD: &str = "correct horse battery";

/// What differs between worlds.
pub(super) struct Options {
    pub(super) api: ApiLimits,
    pub(super) auth: AuthLimits,
    pub(super) messages: Option<Quota>,
    pub(super) rooms: Option<Quota>,
    pub(super) contacts: Option<Quota>,
    pub(super) changes: Option<Quota>,
    pub(super) quotas: Quotas,
    pub(super) origins: AllowedOrigins,
    pub(super) proxies: TrustedProxies,
    pub(super) checks: Vec<Box<dyn HealthCheck>>,
    pub(super) hsts: bool,
    pub(super) role: Role,
    pub(super) stores: Stores,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            api: ApiLimits::by(None),
            auth: AuthLimits::off(),
            messages: None,
            rooms: None,
            contacts: None,
            changes: None,
            quotas: Quotas::default(),
            origins: AllowedOrigins::none(),
            proxies: TrustedProxies::default(),
            checks: Vec::new(),
            hsts: false,
            role: Role::All,
            stores: MemoryStores::new(10_000),
        }
    }
}

pub(super) struct World {
    pub(super) api: RestApi,
    pub(super) stores: Stores,
    pub(super) stack: Stack,
    pub(super) clock: Arc<ManualClock>,
    pub(super) ids: Arc<SeededIds>,
    pub(super) log: Log,
    pub(super) hub: Arc<Hub<Channel>>,
    pub(super) deliveries: Arc<Deliveries>,
    pub(super) draining: CancellationToken,
}

impl World {
    pub(super) fn new() -> World {
        World::with(Options::default())
    }

    pub(super) fn with(options: Options) -> World {
        World::made_of(options, RestApi::new)
    }

    /// The API as `make` builds it from the parts.
    pub(super) fn made_of(options: Options, make: impl FnOnce(RestParts) -> RestApi) -> World {
        let tasks = Tasks::new();
        let clock = Arc::new(ManualClock::at(samples::now()));
        let ids = Arc::new(SeededIds::new(7));
        let stores = options.stores;
        let names = Names::new(stores.users.clone());
        let hub: Arc<Hub<Channel>> = Arc::new(Hub::new());
        let encoder = Encoder::new(names.clone());
        let deliveries = Deliveries::new(hub.clone(), stores.clone(), encoder.clone(), None, tasks.clone());
        let announcer = Announcer::new(encoder, deliveries.clone(), None);
        let ring = KeyRing::new(SECRET, []);
        let access = AccessTokens::new(&ring, Duration::from_mins(15), ids.clone());
        let live = LiveSessions::new(access.clone(), stores.sessions.clone(), clock.clone());
        let cheap = HashingParams {
            memory_kib: 8,
            iterations: 1,
            lanes: 1,
        };
        let passwords = Passwords::new(cheap, HashingLimits::default(), tasks.clone()).unwrap();
        let log = Log::new(stores.clone(), clock.clone(), announcer, tasks.clone());
        let presence: Arc<MemoryPresence> = Arc::new(MemoryPresence::new(100));
        let app = App {
            stores: stores.clone(),
            log: log.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            accounts: Accounts {
                passwords: Arc::new(passwords),
                access,
                refresh: RefreshTokens::new(&ring),
                live: live.clone(),
                refresh_ttl: Duration::from_hours(30 * 24),
            },
            audience: deliveries.clone(),
            presence: presence.clone(),
            dead_letters: Arc::new(MemoryQueue::new(1)),
            names: names.clone(),
            rooms: Directory::new(stores.conversations.clone()),
            quotas: options.quotas,
        };
        let limiter = Arc::new(MemoryRateLimiter::new(10_000));
        let buckets = Buckets::new(limiter.clone(), limiter);
        let node = NodeId::new(&*ids);
        let user_limits = UserLimits {
            messages: options.messages,
            rooms: options.rooms,
            contacts: options.contacts,
            changes: options.changes,
        };
        let layers = Layers {
            auth_limit: AuthLimit::new(buckets.clone(), options.auth),
            rate_limit: RateLimit::new(buckets.clone(), user_limits),
            presences: Presences::start(
                presence,
                node,
                clock.clone(),
                deliveries.clone(),
                options.role,
                &tasks,
            ),
            receipts: Receipts::new(hub.clone(), None, tasks.clone()),
            publisher: Publisher::new(deliveries.clone(), names, clock.clone()),
            enqueuer: Enqueuer::new(Arc::new(MemoryQueue::new(100)), clock.clone(), ids.clone()),
        };
        let stack = Stack::new(Arc::new(app), layers, tasks);
        let draining = CancellationToken::new();
        let parts = RestParts {
            stack: stack.clone(),
            live,
            cursors: Cursors::new(&ring),
            buckets,
            limits: options.api,
            ids: ids.clone(),
            health: Health::new("1.2.3", options.checks, draining.clone()),
            origins: options.origins,
            proxies: options.proxies,
            hsts: options.hsts,
            role: options.role,
        };
        World {
            api: make(parts),
            stores,
            stack,
            clock,
            ids,
            log,
            hub,
            deliveries,
            draining,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn get(&self, path: &str) -> Ask<'_> {
        self.ask(Method::GET, path)
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Ask<'_> {
        self.post_raw(path, body.to_string())
    }

    pub(super) fn post_raw(&self, path: &str, body: impl Into<Bytes>) -> Ask<'_> {
        let mut ask = self
            .ask(Method::POST, path)
            .header("content-type", "application/json");
        ask.body = body.into();
        ask
    }

    pub(super) fn put(&self, path: &str, body: &Value) -> Ask<'_> {
        let mut ask = self
            .ask(Method::PUT, path)
            .header("content-type", "application/json");
        ask.body = body.to_string().into();
        ask
    }

    pub(super) fn delete(&self, path: &str) -> Ask<'_> {
        self.ask(Method::DELETE, path)
    }

    pub(super) fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        Ask {
            world: self,
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            from: "198.51.100.7".parse().unwrap(),
        }
    }

    /// Registers somebody and gives the reply's body.
    pub(super) async fn register(&self, name: &str) -> Value {
        let answer = self.post("/api/auth/register", &registration(name)).send().await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body
    }

    /// Registers somebody and gives an access token.
    pub(super) async fn token(&self, name: &str) -> String {
        text(&self.register(name).await, "accessToken")
    }

    pub(super) async fn blocks(&self, one: UserId, other: UserId) {
        let blocks = &self.stores.blocks;
        blocks.block(one, other, self.now(), 10).await.unwrap();
    }

    pub(super) async fn suspend(&self, user: UserId, suspended: bool) {
        let command = SuspendUser { id: user, suspended };
        self.stack.call(Actor::Operator, command).await.unwrap();
    }

    pub(super) async fn revoke(&self, user: UserId, session: SessionId) {
        let command = RevokeSessions {
            user,
            session: Some(session),
        };
        self.stack.call(Actor::Operator, command).await.unwrap();
    }

    /// Somebody with a session that is good.
    pub(super) fn actor(&self, user: UserId) -> Actor {
        Actor::User(Principal {
            user,
            session: SessionId::new(&*self.ids),
            token: crate::ids::TokenId::new(&*self.ids),
            expires_at: samples::in_secs(1_000_000),
        })
    }

    /// Writes messages to a room as its member.
    pub(super) async fn write(&self, user: UserId, room: &str, contents: impl IntoIterator<Item = String>) {
        let actor = self.actor(user);
        let join = JoinRoom {
            room_name: room.to_owned(),
        };
        self.stack.call(actor, join).await.unwrap();
        for content in contents {
            let send = SendRoomMessage {
                room_name: room.to_owned(),
                content,
                ..SendRoomMessage::default()
            };
            self.stack.call(actor, send).await.unwrap();
        }
    }
}

pub(super) fn registration(name: &str) -> Value {
    json!({ "username": name, "email": format!("{name}@example.org"), "password": PASSWORD })
}

/// A text member of a body.
pub(super) fn text(body: &Value, name: &str) -> String {
    body[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {body}"))
        .to_owned()
}

pub(super) fn id_of(registered: &Value) -> UserId {
    text(&registered["user"], "id").parse().unwrap()
}

/// A request about to be sent.
#[derive(Clone)]
pub(super) struct Ask<'a> {
    world: &'a World,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    from: IpAddr,
}

impl Ask<'_> {
    pub(super) fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into();
        self.header("content-type", "application/json")
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        );
        self
    }

    pub(super) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(super) fn without(mut self, name: &'static str) -> Self {
        self.headers.remove(name);
        self
    }

    pub(super) fn from(mut self, ip: &str) -> Self {
        self.from = ip.parse().unwrap();
        self
    }

    pub(super) async fn send(self) -> Answer {
        let body = Full::new(self.body.clone());
        self.send_body(body).await
    }

    pub(super) async fn send_body<B>(self, body: B) -> Answer
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<crate::http::BoxError>,
    {
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.path.parse().unwrap();
        *request.headers_mut() = self.headers;
        request.extensions_mut().insert(SocketAddr::new(self.from, 4711));
        let response = self.world.api.clone().oneshot(request).await.unwrap();
        Answer::read(response).await
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Answer {
    async fn read(response: http::Response<Body>) -> Answer {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    /// Status and code of a refusal, with the contract of its body checked.
    #[track_caller]
    pub(super) fn refusal(&self) -> (u16, &str) {
        assert_eq!(self.body["requestId"], self.header("x-request-id"), "{self:?}");
        assert!(self.body["error"]["message"].is_string(), "{self:?}");
        assert_eq!(self.header("content-type"), "application/json");
        (self.status, self.code())
    }

    /// The fields that a validation complains about.
    pub(super) fn fields(&self) -> Vec<&str> {
        let details = self.body["error"]["details"].as_array();
        details
            .into_iter()
            .flatten()
            .filter_map(|detail| detail["field"].as_str())
            .collect()
    }
}

/// A check that says what it is told to.
pub(super) struct Scripted {
    pub(super) name: &'static str,
    pub(super) vital: bool,
    pub(super) works: tokio::sync::watch::Receiver<bool>,
    pub(super) asked: Arc<std::sync::atomic::AtomicUsize>,
}

#[async_trait]
impl HealthCheck for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn is_vital(&self) -> bool {
        self.vital
    }

    async fn works(&self) -> bool {
        self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        *self.works.borrow()
    }
}
