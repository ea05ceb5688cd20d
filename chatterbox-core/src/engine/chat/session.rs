//! The machine: stages of a connection, its deadlines, its patience.

use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::{SmallVec, smallvec};

use super::answers::{
    AuthAck, Authenticated, ClosedAck, HeartbeatAck, JoinedAck, Limits, OpenedAck, TokenExpiring, answer,
    millis, refusal,
};
use super::bucket::Bucket;
use super::encode;
use super::events::{Action, Request};
use super::resume::{Resume, ResumeAck};
use crate::app::{Cost, EndReason, Principal, Reply};
use crate::clock::Timestamp;
use crate::domain::entry::Seq;
use crate::engine::sio::{Event, NamespaceId, Output, Rules, Sockets};
use crate::engine::{CloseReason, Message, Packet};
use crate::error::Error;
use crate::ids::ConversationId;
use crate::views::{PublicUser, RoomView};

/// What a session is allowed, and for how long.
#[derive(Debug, Clone)]
pub struct ChatRules {
    /// From the opening to a valid token (S-083).
    pub auth_timeout: Duration,
    /// `token-expiring` comes so long before the end.
    pub expiry_warning: Duration,
    /// How often clients are asked to beat, in milliseconds.
    pub heartbeat_interval_ms: u64,
    /// Messages per second and user, as told to clients; `None` without limit.
    pub messages_per_second: Option<u32>,
}

impl Default for ChatRules {
    fn default() -> ChatRules {
        ChatRules {
            auth_timeout: Duration::from_secs(10),
            expiry_warning: Duration::from_mins(1),
            heartbeat_interval_ms: 30_000,
            messages_per_second: Some(10),
        }
    }
}

/// Refused tokens before the session ends (S-096).
const TOKENS_REFUSED_MAX: u8 = 3;
/// Events a guest may send before the connection is closed.
const GUEST_EVENTS_MAX: u8 = 20;
/// Events that are no messages: burst and rate per connection (S-142: they have their own bucket).
const SIGNALS: (f32, f32) = (60.0, 30.0);
/// Resumes: each may read 10,000 entries.
const RESUMES: (f32, f32) = (5.0, 0.2);
/// Refusals for being too fast that a connection may collect: with 30 tries a second it is closed after 10 s (S-142).
const PATIENCE: (f32, f32) = (100.0, 10.0);

/// The chat on one connection. Messages and results go in; [`Steps`] come out.
#[derive(Debug)]
pub struct Chat {
    sockets: Sockets,
    rules: Arc<ChatRules>,
    stage: Stage,
    signals: Bucket,
    resumes: Bucket,
    patience: Bucket,
}

#[derive(Debug)]
enum Stage {
    Guest {
        until: Instant,
        refused: u8,
        events: u8,
    },
    Member {
        principal: Principal,
        expires: Instant,
        warned: bool,
    },
    Over,
}

impl Stage {
    fn guest(rules: &ChatRules, now: Instant) -> Stage {
        Stage::Guest {
            until: now + rules.auth_timeout,
            refused: 0,
            events: 0,
        }
    }
}

/// What is to be done now.
#[derive(Debug)]
pub enum Step {
    /// Send it.
    Send(Packet),
    /// Put it behind the requests that wait.
    Queue(Box<Request>),
    /// Put it before them.
    QueueFirst(Box<Request>),
    /// A namespace was joined: the connect time-out no longer applies.
    Joined,
    /// The user was refused for being too fast, over all their connections: who bears it no more closes this one.
    TooFast,
    /// The client left: it watches nothing any more, and what it had asked for is void.
    Leave,
    /// Tell the client that its session has ended, and close.
    End(EndReason),
    /// Close.
    Close(CloseReason),
}

/// Mostly one step.
pub type Steps = SmallVec<[Step; 2]>;

/// The beginning of a request.
#[derive(Debug)]
pub enum Begun {
    /// Run it and bring the result to [`Chat::finish`].
    Run(Action),
    /// It is answered already.
    Answered(Steps),
}

/// Who a token speaks for.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user and the session.
    pub principal: Principal,
    /// As everyone may see them.
    pub user: Arc<PublicUser>,
    /// How long the token is good for.
    pub expires_in: Duration,
    /// What is to follow at once, if the client goes on with what it has (S-083).
    pub resume: Option<Box<Resume>>,
    /// The server's wall clock.
    pub server_time: Timestamp,
}

/// The result of an action.
#[derive(Debug)]
pub enum Replied {
    /// Of [`Action::Enter`].
    Entered(NamespaceId, Result<Identity, Error>),
    /// Of [`Action::Authenticate`].
    Authenticated(Identity),
    /// Of [`Action::JoinRoom`]: the room, and the entry above which everything is delivered.
    JoinedRoom(Box<RoomView>, Seq),
    /// Of [`Action::Resume`].
    Resumed(ResumeAck),
    /// Of [`Action::OpenConversation`].
    Opened(OpenedAck),
    /// Of [`Action::CloseConversation`].
    Closed(ConversationId),
    /// Of [`Action::Heartbeat`]: the time, and the last entries of watched conversations that moved since the last one.
    Beat(Timestamp, Vec<(ConversationId, Seq)>),
    /// Of [`Action::Call`], and of every other action whose answer is a reply as it is.
    Reply(Box<Reply>),
}

impl Chat {
    /// For a connection that was just opened.
    pub fn new(namespaces: Arc<Rules>, rules: Arc<ChatRules>, now: Instant) -> Chat {
        Chat {
            sockets: Sockets::new(namespaces),
            stage: Stage::guest(&rules, now),
            rules,
            signals: Bucket::new(SIGNALS.0, SIGNALS.1, now),
            resumes: Bucket::new(RESUMES.0, RESUMES.1, now),
            patience: Bucket::new(PATIENCE.0, PATIENCE.1, now),
        }
    }

    /// The member's identity, once there is one.
    pub fn principal(&self) -> Option<&Principal> {
        match &self.stage {
            Stage::Member { principal, .. } => Some(principal),
            Stage::Guest { .. } | Stage::Over => None,
        }
    }

    /// Takes one message. `socket_id` makes a fresh public id, should one be needed.
    pub fn handle(&mut self, message: Message, socket_id: impl FnOnce() -> String, now: Instant) -> Steps {
        match self.sockets.handle(message, now) {
            None | Some(Output::Ack(_)) => Steps::new(),
            Some(Output::Event(event)) => self.event(&event),
            Some(Output::Connect { namespace, auth }) => {
                let entering = auth.map_or(Ok(None), |auth| Request::enter(namespace, auth.json()));
                match entering {
                    Ok(Some(request)) => smallvec![Step::Queue(Box::new(request))],
                    Ok(None) => self.accept(namespace, &socket_id()),
                    Err(error) => self.shut_out(namespace, &error, now),
                }
            }
            // The transport stays, and the client may ask for the namespace again (PROTOCOL.md section 10).
            Some(Output::Left { .. }) => {
                match self.stage {
                    Stage::Member { .. } => self.stage = Stage::guest(&self.rules, now),
                    // A guest who goes and comes gains neither time nor tries.
                    Stage::Guest { .. } | Stage::Over => {}
                }
                smallvec![Step::Leave]
            }
            Some(Output::Send(packet)) => smallvec![Step::Send(packet)],
            Some(Output::Close(reason)) => {
                self.stage = Stage::Over;
                smallvec![Step::Close(reason)]
            }
        }
    }

    /// Whether the client should wait before it sends more.
    pub fn is_ready(&self) -> bool {
        self.sockets.is_ready()
    }

    /// Begins the request that is next in order.
    pub fn begin(&mut self, request: &mut Request, now: Instant) -> Begun {
        if let Some(refused) = self.refuse_early(request, now) {
            return Begun::Answered(refused);
        }
        let unread = Err(Error::invalid("payload", "read twice"));
        match std::mem::replace(&mut request.action, unread) {
            Ok(action) => Begun::Run(action),
            Err(_) if !request.is_known && request.ack.is_none() => Begun::Answered(Steps::new()),
            Err(error) => Begun::Answered(self.fail(request, &error, now)),
        }
    }

    /// The refusal of a sender who may not ask at all right now.
    fn refuse_early(&mut self, request: &Request, now: Instant) -> Option<Steps> {
        match &mut self.stage {
            Stage::Over => Some(Steps::new()),
            Stage::Guest { .. } if request.is_login() => None,
            Stage::Guest { events, .. } => {
                *events += 1;
                let too_many = *events > GUEST_EVENTS_MAX;
                let mut steps = self.refuse(request, &Error::Unauthenticated("send auth first"), now);
                if too_many {
                    self.stage = Stage::Over;
                    steps.push(Step::Close(CloseReason::Abuse));
                }
                Some(steps)
            }
            Stage::Member { .. } => {
                let is_message =
                    matches!(&request.action, Ok(Action::Call(command)) if command.cost() == Cost::Message);
                let (bucket, per_second) = match &request.action {
                    Ok(Action::Resume(_)) => (&mut self.resumes, RESUMES.1),
                    _ => (&mut self.signals, SIGNALS.1),
                };
                if is_message || bucket.take(now) {
                    return None;
                }
                let retry_after = Duration::from_secs_f32(1.0 / per_second);
                Some(self.refuse(request, &Error::RateLimited { retry_after }, now))
            }
        }
    }

    /// Answers a request with what its action came to.
    pub fn finish(
        &mut self,
        request: &Request,
        result: Result<Replied, Error>,
        socket_id: impl FnOnce() -> String,
        now: Instant,
    ) -> Steps {
        match result {
            Err(error) => self.fail(request, &error, now),
            Ok(Replied::Entered(namespace, Ok(identity))) => {
                let mut steps = self.accept(namespace, &socket_id());
                // Held events stand behind the greeting.
                let held = steps.drain(2.min(steps.len())..).collect::<Steps>();
                steps.extend(self.welcome(&identity, now));
                steps.extend(held);
                steps
            }
            Ok(Replied::Entered(namespace, Err(error))) => self.shut_out(namespace, &error, now),
            Ok(Replied::Authenticated(identity)) => self.authenticate(request, &identity, now),
            Ok(Replied::JoinedRoom(room, seq)) => answer(
                request,
                &JoinedAck {
                    members: room.member_count,
                    room: &room,
                    seq,
                },
            ),
            Ok(Replied::Resumed(ack)) => answer(request, &ack),
            Ok(Replied::Opened(ack)) => answer(request, &ack),
            Ok(Replied::Closed(conversation_id)) => answer(request, &ClosedAck { conversation_id }),
            Ok(Replied::Beat(server_time, hints)) => answer(
                request,
                &HeartbeatAck {
                    server_time,
                    seq_hints: hints.into_iter().collect(),
                },
            ),
            Ok(Replied::Reply(reply)) => answer(request, &*reply),
        }
    }

    /// When [`handle_timeout`](Chat::handle_timeout) wants to be called, if ever.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let own = match &self.stage {
            Stage::Guest { until, .. } => Some(*until),
            Stage::Member {
                expires,
                warned: true,
                ..
            } => Some(*expires),
            Stage::Member {
                expires,
                warned: false,
                ..
            } => Some(expires.checked_sub(self.rules.expiry_warning).unwrap_or(*expires)),
            Stage::Over => None,
        };
        [own, self.sockets.poll_timeout()].into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) -> Steps {
        if let Some(Output::Close(reason)) = self.sockets.handle_timeout(now) {
            self.stage = Stage::Over;
            return smallvec![Step::Close(reason)];
        }
        match &mut self.stage {
            Stage::Guest { until, .. } if *until <= now && self.sockets.joined().next().is_none() => {
                self.stage = Stage::Over;
                smallvec![Step::Close(CloseReason::ConnectTimeout)]
            }
            Stage::Guest { until, .. } if *until <= now => self.end(EndReason::NotAuthenticated),
            Stage::Member { expires, .. } if *expires <= now => self.end(EndReason::Expired),
            Stage::Member { expires, warned, .. }
                if !*warned && *expires <= now + self.rules.expiry_warning =>
            {
                *warned = true;
                let expires_in_ms = millis(expires.saturating_duration_since(now));
                smallvec![Step::Send(encode::event(
                    "token-expiring",
                    &TokenExpiring { expires_in_ms }
                ))]
            }
            Stage::Guest { .. } | Stage::Member { .. } | Stage::Over => Steps::new(),
        }
    }

    fn event(&mut self, event: &Event) -> Steps {
        match self.stage {
            Stage::Over => Steps::new(),
            Stage::Guest { .. } | Stage::Member { .. } => {
                smallvec![Step::Queue(Box::new(Request::read(event)))]
            }
        }
    }

    /// Opens the namespace: the CONNECT answer, and then the events that were held for it.
    fn accept(&mut self, namespace: NamespaceId, socket_id: &str) -> Steps {
        let Some(accepted) = self.sockets.accept(namespace, socket_id) else {
            return Steps::new();
        };
        let mut steps: Steps = smallvec![Step::Joined, Step::Send(accepted.answer)];
        for event in &accepted.held {
            steps.extend(self.event(event));
        }
        steps
    }

    fn authenticate(&mut self, request: &Request, identity: &Identity, now: Instant) -> Steps {
        let ack = AuthAck {
            user: &identity.user,
            session_id: identity.principal.session.to_string(),
        };
        let mut steps = answer(request, &ack);
        steps.extend(self.welcome(identity, now));
        steps
    }

    /// From guest to member, or a member's new token.
    fn welcome(&mut self, identity: &Identity, now: Instant) -> Steps {
        let expires = now + identity.expires_in;
        self.stage = Stage::Member {
            principal: identity.principal,
            expires,
            warned: false,
        };
        let greeting = Authenticated {
            user: &identity.user,
            session_id: identity.principal.session.to_string(),
            server_time: identity.server_time,
            heartbeat_interval: self.rules.heartbeat_interval_ms,
            limits: Limits {
                message_chars: crate::domain::message::CONTENT_CHARS_MAX,
                messages_per_second: self.rules.messages_per_second,
            },
        };
        let mut steps: Steps = smallvec![Step::Send(encode::event("authenticated", &greeting))];
        if let Some(resume) = &identity.resume {
            steps.push(Step::QueueFirst(Box::new(Request::resume(resume.clone()))));
        }
        steps
    }

    /// The CONNECT payload held a token that is no good: the namespace stays shut, as stock clients expect.
    fn shut_out(&mut self, namespace: NamespaceId, error: &Error, now: Instant) -> Steps {
        let data = serde_json::json!({ "code": error.code() });
        let refusal = self.sockets.refuse(namespace, &error.to_string(), Some(&data));
        let mut steps: Steps = refusal.map(Step::Send).into_iter().collect();
        steps.extend(self.count_refused_token(error, now));
        steps
    }

    fn fail(&mut self, request: &Request, error: &Error, now: Instant) -> Steps {
        let mut steps = self.refuse(request, error, now);
        if matches!(&*request.event, "auth") {
            steps.extend(self.count_refused_token(error, now));
        }
        if let (Error::RateLimited { .. }, Stage::Member { .. }) = (error, &self.stage) {
            steps.push(Step::TooFast);
        }
        steps
    }

    fn count_refused_token(&mut self, error: &Error, _now: Instant) -> Steps {
        match &mut self.stage {
            // A store that is away says nothing about the token.
            Stage::Guest { refused, .. } if !error.is_fault() => {
                *refused += 1;
                if *refused >= TOKENS_REFUSED_MAX {
                    self.end(EndReason::NotAuthenticated)
                } else {
                    Steps::new()
                }
            }
            Stage::Guest { .. } | Stage::Member { .. } | Stage::Over => Steps::new(),
        }
    }

    fn end(&mut self, reason: EndReason) -> Steps {
        self.stage = Stage::Over;
        smallvec![Step::End(reason)]
    }

    /// Tells the client that a request was refused; closes when it doesn't stop being too fast.
    fn refuse(&mut self, request: &Request, error: &Error, now: Instant) -> Steps {
        let mut steps: Steps = smallvec![Step::Send(refusal(request, error))];
        if matches!(error, Error::RateLimited { .. }) && !self.patience.take(now) {
            self.stage = Stage::Over;
            steps.push(Step::Close(CloseReason::Abuse));
        }
        steps
    }
}
