//! The command stack: everything that stands between a caller and a use case, outermost first.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::app::{Actor, App, Call, Outcome, Reply, UseCase};
use crate::error::Error;
use crate::layers::{
    AroundLayer, Audit, AuthLimit, CallFuture, Enqueuer, Presences, Publisher, RateLimit, Receipts, Shield,
    Timeout, Trace,
};
use crate::tasks::Tasks;

/// Longest time a caller waits for an answer.
const CALL_TIME_MAX: Duration = Duration::from_secs(10);

/// The layers that come with ports.
pub struct Layers {
    /// Counts logins, registrations and refreshes.
    pub auth_limit: AuthLimit,
    /// Counts messages.
    pub rate_limit: RateLimit,
    /// Reports who is here.
    pub presences: Presences,
    /// Tells sockets.
    pub publisher: Publisher,
    /// Tells who has read how far.
    pub receipts: Receipts,
    /// Queues jobs.
    pub enqueuer: Enqueuer,
}

/// Where every call of every door goes in. Cheap to clone.
#[derive(Clone)]
pub struct Stack {
    service: BoxCloneSyncService<Call, Outcome<Reply>, Error>,
}

impl Stack {
    /// All layers around the use cases of `app`.
    pub fn new(app: Arc<App>, layers: Layers, tasks: Tasks) -> Stack {
        let service = ServiceBuilder::new()
            .layer(AroundLayer(Trace))
            .layer(AroundLayer(Timeout::new(CALL_TIME_MAX)))
            // Below the timeout: an impatient caller does not cancel what takes several steps.
            .layer(AroundLayer(Shield::new(tasks)))
            // Outside presence and publish: who is over the limit causes nothing.
            .layer(AroundLayer(layers.rate_limit))
            // Before anything is hashed.
            .layer(AroundLayer(layers.auth_limit))
            .layer(AroundLayer(layers.presences))
            .layer(AroundLayer(layers.publisher))
            .layer(AroundLayer(layers.receipts))
            // Inside publish: jobs are durable before anyone hears of the change.
            .layer(AroundLayer(layers.enqueuer))
            .layer(AroundLayer(Audit))
            .service(UseCases { app });
        Stack {
            service: BoxCloneSyncService::new(service),
        }
    }

    /// Runs one call.
    pub fn run(&self, call: Call) -> impl Future<Output = Result<Reply, Error>> + Send + use<> {
        // Boxed where it begins: the futures of callers hold a pointer and are not made larger by what is in here.
        let answer = Box::pin(self.service.clone().oneshot(call));
        async move { answer.await.map(|outcome| outcome.reply) }
    }

    /// Runs a command for `actor` and gives its own reply.
    pub async fn call<C: UseCase>(&self, actor: Actor, command: C) -> Result<C::Reply, Error> {
        self.run_as::<C>(Call::new(actor, command)).await
    }

    /// Runs a call whose command is a `C`.
    pub fn run_as<C: UseCase>(
        &self,
        call: Call,
    ) -> impl Future<Output = Result<C::Reply, Error>> + Send + use<C> {
        let answer = self.run(call);
        async move { C::Reply::try_from(answer.await?).map_err(|wrong| Error::Internal(Box::new(wrong))) }
    }
}

/// The innermost service.
#[derive(Clone)]
struct UseCases {
    app: Arc<App>,
}

impl Service<Call> for UseCases {
    type Response = Outcome<Reply>;
    type Error = Error;
    type Future = CallFuture;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> CallFuture {
        self.app.clone().decide(call)
    }
}
