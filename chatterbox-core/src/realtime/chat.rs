//! The chat on Engine.IO connections: runs what [`crate::engine::chat`] asks for.

use std::collections::VecDeque;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::application::{Application, Handshake, Session};
use super::patience::Patience;
use super::runner::{Hearing, Runner};
use crate::app::accounts::LiveSessions;
use crate::app::presence::{Connect, Disconnect, SetActivity};
use crate::app::{Actor, Call, Principal, Turn, UseCase};
use crate::clock::Clock;
use crate::engine::chat::{Action, Begun, Chat, ChatRules, Replied, Request, Step, Steps, encode};
use crate::engine::sio::Rules;
use crate::engine::{CloseReason, Message, Packet};
use crate::error::Error;
use crate::hub::{Channel, Hub, Link};
use crate::layers::end_session;
use crate::log::Deliveries;
use crate::stack::Stack;
use crate::tasks::Tasks;
use crate::views::Names;

/// Requests of one connection that may run or wait at a time; above, the client waits (SPEC.md section 1).
const REQUESTS_MAX: usize = 32;

/// What the chat on connections needs.
pub struct ChatRealtime {
    /// Where calls go in.
    pub stack: Stack,
    /// Checks tokens.
    pub sessions: LiveSessions,
    /// Who watches which conversation.
    pub deliveries: Arc<Deliveries>,
    /// Who watches what else.
    pub hub: Arc<Hub<Channel>>,
    /// Public users by id.
    pub names: Names,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Limits and times.
    pub rules: Arc<ChatRules>,
    /// The namespaces there are.
    pub namespaces: Arc<Rules>,
    /// With users who are too fast.
    pub patience: Patience,
    /// For what outlives a connection.
    pub tasks: Tasks,
}

impl Application for ChatRealtime {
    type Session = ChatSession;

    /// S-128.
    fn draining(&self, closed_in: Duration) -> Option<Packet> {
        Some(encode::server_draining(closed_in))
    }

    fn open(self: &Arc<Self>, link: Link, handshake: Handshake, now: Instant) -> ChatSession {
        ChatSession {
            chat: Chat::new(self.namespaces.clone(), self.rules.clone(), now),
            realtime: self.clone(),
            link,
            address: handshake.remote.map(|address| address.ip()),
            waiting: VecDeque::new(),
            running: VecDeque::new(),
            hearing: Arc::default(),
            away: false,
            present: None,
        }
    }
}

/// One connection of the chat.
pub struct ChatSession {
    chat: Chat,
    realtime: Arc<ChatRealtime>,
    link: Link,
    address: Option<IpAddr>,
    /// Boxed, so that queues that are empty most of the time keep little memory.
    waiting: VecDeque<Box<Request>>,
    running: VecDeque<Box<Running>>,
    hearing: Arc<Hearing>,
    /// Whether the user is not at the device.
    away: bool,
    /// Who was reported to be here by this connection.
    present: Option<Principal>,
}

/// A request whose action runs. Answers go out in the order of requests.
struct Running {
    request: Box<Request>,
    turn: Turn,
    result: Pin<Box<dyn Future<Output = Result<Replied, Error>> + Send>>,
    done: Option<Result<Replied, Error>>,
}

impl Session for ChatSession {
    fn handle(&mut self, message: Message, now: Instant) {
        let steps = self.chat.handle(message, socket_id, now);
        self.carry_out(steps);
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        loop {
            for running in self.running.iter_mut().filter(|running| running.done.is_none()) {
                if let Poll::Ready(result) = running.result.as_mut().poll(context) {
                    running.done = Some(result);
                }
            }
            self.answer_finished();
            if !self.begin_next() {
                return;
            }
        }
    }

    fn ready(&self) -> bool {
        self.waiting.len() + self.running.len() < REQUESTS_MAX && self.chat.is_ready()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.chat.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        let steps = self.chat.handle_timeout(now);
        self.carry_out(steps);
    }

    fn finish(&mut self, reason: CloseReason) {
        // A node that goes away answers whatever it has read. A session that has ended asks for nothing more, and
        // hears of nothing but what it had begun.
        if reason != CloseReason::ShuttingDown {
            self.waiting.clear();
            self.realtime.deliveries.unwatch_all(&self.link);
        }
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    fn closed(mut self, _reason: CloseReason) {
        self.leave();
    }
}

impl ChatSession {
    fn carry_out(&mut self, steps: Steps) {
        for step in steps {
            match step {
                Step::Send(packet) => self.link.send(packet),
                Step::Queue(request) => self.waiting.push_back(request),
                Step::QueueFirst(request) => self.waiting.push_front(request),
                Step::Joined => self.link.joined(),
                Step::TooFast => {
                    if let Some(Principal { user, .. }) = self.chat.principal()
                        && !self.realtime.patience.bears(*user, now())
                    {
                        self.link.close(CloseReason::Abuse);
                    }
                }
                Step::Leave => self.leave(),
                Step::End(reason) => end_session(&self.link, reason),
                Step::Close(reason) => self.link.close(reason),
            }
        }
    }

    /// Begins the next request if its turn has come. True if something happened that is worth another look.
    fn begin_next(&mut self) -> bool {
        let is_its_turn = self
            .running
            .back()
            .is_none_or(|last| last.done.is_some() || last.turn.has_passed());
        if !is_its_turn {
            return false;
        }
        let Some(mut request) = self.waiting.pop_front() else {
            return false;
        };
        match self.chat.begin(&mut request, now()) {
            Begun::Answered(steps) => self.carry_out(steps),
            Begun::Run(action) => {
                let turn = Turn::default();
                let result = self.run(action, turn.clone());
                self.running.push_back(Box::new(Running {
                    request,
                    turn,
                    result,
                    done: None,
                }));
            }
        }
        true
    }

    /// Answers what is finished, from the front.
    fn answer_finished(&mut self) {
        while self.running.front().is_some_and(|first| first.done.is_some()) {
            let Some(first) = self.running.pop_front() else {
                return;
            };
            let Running {
                request,
                done: Some(result),
                ..
            } = *first
            else {
                return;
            };
            let steps = self.chat.finish(&request, result, socket_id, now());
            self.carry_out(steps);
            self.report_presence();
        }
    }

    fn run(
        &mut self,
        action: Action,
        turn: Turn,
    ) -> Pin<Box<dyn Future<Output = Result<Replied, Error>> + Send>> {
        let runner = Runner {
            realtime: self.realtime.clone(),
            link: self.link.clone(),
            hearing: self.hearing.clone(),
            principal: self.chat.principal().copied(),
            address: self.address,
            turn,
        };
        match action {
            Action::Enter {
                namespace,
                token,
                resume,
            } => Box::pin(
                async move { Ok(Replied::Entered(namespace, runner.identify(&token, resume).await)) },
            ),
            Action::Authenticate { token, resume } => {
                Box::pin(async move { runner.identify(&token, resume).await.map(Replied::Authenticated) })
            }
            Action::Resume(resume) => {
                Box::pin(async move { runner.resume(*resume).await.map(Replied::Resumed) })
            }
            Action::OpenConversation(open) => {
                Box::pin(async move { runner.open(open).await.map(Replied::Opened) })
            }
            Action::CloseConversation(conversation) => {
                self.realtime
                    .hub
                    .unsubscribe(&self.link, &Channel::Looking(conversation));
                Box::pin(async move { Ok(Replied::Closed(conversation)) })
            }
            Action::JoinRoom(join) => Box::pin(async move {
                let (room, seq) = runner.join_room(join).await?;
                Ok(Replied::JoinedRoom(Box::new(room), seq))
            }),
            Action::Call(command) => Box::pin(async move {
                let reply = runner.realtime.stack.run(runner.call_of(*command)).await?;
                Ok(Replied::Reply(Box::new(reply)))
            }),
            Action::Heartbeat { active } => {
                self.report_activity(active);
                Box::pin(async move { Ok(runner.beat()) })
            }
        }
    }

    /// Reports a member's connection once.
    fn report_presence(&mut self) {
        let Some(principal) = self.chat.principal().copied() else {
            return;
        };
        if self.present.replace(principal).is_none() {
            let circle = self.hearing.take_circle();
            self.report(principal, Connect { circle });
        }
    }

    /// Reports that the user has left the device, or is back.
    fn report_activity(&mut self, active: bool) {
        if let Some(principal) = self.present
            && self.away == active
        {
            self.away = !active;
            self.report(principal, SetActivity { away: !active });
        }
    }

    /// The end of everything this connection watches and waits for.
    fn leave(&mut self) {
        self.waiting.clear();
        self.running.clear();
        self.realtime.deliveries.unwatch_all(&self.link);
        self.hearing.clear();
        if let Some(principal) = self.present.take() {
            let was_away = std::mem::take(&mut self.away);
            self.report(principal, Disconnect { was_away });
        }
    }

    /// Presence goes through the stack like everything else, but nobody waits for it.
    fn report<C: UseCase>(&self, principal: Principal, command: C) {
        let stack = self.realtime.stack.clone();
        let call = Call::new(Actor::User(principal), command);
        self.realtime.tasks.spawn(async move { stack.run(call).await });
    }
}

/// The instant by the runtime's clock, which tests may pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A public socket id: 120 random bits, never the session id (PROTOCOL.md section 2).
fn socket_id() -> String {
    let mut random = [0; 15];
    crate::auth::fill_random(&mut random);
    URL_SAFE_NO_PAD.encode(random)
}
