use std::task::{Context, Poll};

use tower::{Layer, Service};

use super::{Buckets, CallFuture, CallService};
use crate::app::{Actor, Call, Command, Cost, Outcome, Reply};
use crate::error::Error;
use crate::ports::rate_limit::{Decision, Quota, Take};

/// Takes the price of a call from its user's bucket (S-142).
#[derive(Clone)]
pub struct RateLimitLayer {
    buckets: Buckets,
    messages: Option<Quota>,
}

impl RateLimitLayer {
    /// Messages cost a token of `messages` each (`None`: nothing).
    pub fn new(buckets: Buckets, messages: Option<Quota>) -> RateLimitLayer {
        RateLimitLayer { buckets, messages }
    }

    fn price(&self, call: &Call) -> Option<Take> {
        match (call.command.cost(), &call.actor, self.messages) {
            (Cost::Message, Actor::User(principal), Some(quota)) => Some(Take {
                key: format!("msg:{}", principal.user),
                quota,
                cost: 1,
            }),
            (Cost::Free | Cost::Message, _, _) => None,
        }
    }

    async fn take(&self, price: Take) -> Result<(), Error> {
        match self.buckets.take(&[price]).await? {
            Decision::Allowed { .. } => Ok(()),
            Decision::Denied { retry_after, .. } => Err(Error::RateLimited { retry_after }),
        }
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit {
            inner,
            limits: self.clone(),
        }
    }
}

/// See [`RateLimitLayer`].
#[derive(Clone)]
pub struct RateLimit<S> {
    inner: S,
    limits: RateLimitLayer,
}

impl<S: CallService> Service<Call> for RateLimit<S> {
    type Response = Outcome<Reply>;
    type Error = Error;
    type Future = CallFuture;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut call: Call) -> CallFuture {
        let Some(price) = self.limits.price(&call) else {
            return self.inner.call(call);
        };
        let limits = self.limits.clone();
        let mut inner = self.inner.clone();
        Box::pin(async move {
            if let Err(denied) = limits.take(price).await {
                if !may_be_a_retry(&call.command) {
                    return Err(denied);
                }
                // The use case looks whether it was done before, and refuses it otherwise (S-088).
                call.denied = Some(denied);
            }
            inner.call(call).await
        })
    }
}

fn may_be_a_retry(command: &Command) -> bool {
    matches!(command, Command::SendRoomMessage(send) if send.client_message_id.is_some())
}
