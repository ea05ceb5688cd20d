use std::sync::Arc;

use async_trait::async_trait;

use super::{Around, Buckets, CallFuture, CallService};
use crate::app::toll::Collect;
use crate::app::{Actor, Call, Cost, Toll};
use crate::error::Error;
use crate::ports::rate_limit::{Decision, Quota, Take};

/// What one user may do, over all doors and nodes. `None` switches one off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UserLimits {
    /// Messages (S-142).
    pub messages: Option<Quota>,
    /// Tries to make a room (S-076, THREATS.md G5).
    pub rooms: Option<Quota>,
    /// Approaches to other people: conversations opened, people added, invites (THREATS.md G3).
    pub contacts: Option<Quota>,
    /// Changes of members and roles (THREATS.md G5).
    pub changes: Option<Quota>,
}

/// Takes the price of a call from its user's bucket.
#[derive(Clone)]
pub struct RateLimit {
    buckets: Buckets,
    limits: UserLimits,
}

impl RateLimit {
    /// A call costs a token of its kind.
    pub fn new(buckets: Buckets, limits: UserLimits) -> RateLimit {
        RateLimit { buckets, limits }
    }

    fn price(&self, call: &Call) -> Option<Take> {
        let Actor::User(principal) = &call.actor else {
            return None;
        };
        let (bucket, quota) = match call.command.cost() {
            Cost::Free => return None,
            Cost::Message => ("msg", self.limits.messages),
            Cost::Room => ("room", self.limits.rooms),
            Cost::Contact => ("contact", self.limits.contacts),
            Cost::Change => ("change", self.limits.changes),
        };
        quota.map(|quota| Take {
            key: format!("{bucket}:{}", principal.user),
            quota,
            cost: 1,
        })
    }

    async fn take(&self, price: Take) -> Result<(), Error> {
        match self.buckets.take(&[price]).await? {
            Decision::Allowed { .. } => Ok(()),
            Decision::Denied { retry_after, .. } => Err(Error::RateLimited { retry_after }),
        }
    }
}

/// What the caller of a change owes.
struct Due {
    limit: RateLimit,
    price: Take,
}

#[async_trait]
impl Collect for Due {
    async fn collect(&self) -> Result<(), Error> {
        self.limit.take(self.price.clone()).await
    }
}

impl Around for RateLimit {
    fn around<S: CallService>(&self, inner: &mut S, mut call: Call) -> CallFuture {
        let Some(price) = self.price(&call) else {
            return inner.call(call);
        };
        if call.command.cost() == Cost::Change {
            let limit = self.clone();
            call.toll = Toll::to(Arc::new(Due { limit, price }));
            return inner.call(call);
        }
        let limit = self.clone();
        let mut inner = inner.clone();
        Box::pin(async move {
            if let Err(denied) = limit.take(price).await {
                if call.command.client_message_id().is_none() {
                    return Err(denied);
                }
                // The use case looks whether it was done before, and refuses it otherwise (S-088).
                call.denied = Some(denied);
            }
            inner.call(call).await
        })
    }
}
