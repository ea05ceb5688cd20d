use std::time::Duration;

use super::{Around, Buckets, CallFuture, CallService};
use crate::app::accounts::AuthLimits;
use crate::app::{Actor, Call, Outcome, Reply};
use crate::error::Error;
use crate::ports::rate_limit::{Decision, Take};

/// Limits how often one may try to become somebody (S-141); see [`AuthLimits`]. The operator may try as often as it
/// takes.
#[derive(Clone)]
pub struct AuthLimit {
    buckets: Buckets,
    limits: AuthLimits,
}

impl AuthLimit {
    /// Takes the tokens of `limits` from `buckets`.
    pub fn new(buckets: Buckets, limits: AuthLimits) -> AuthLimit {
        AuthLimit { buckets, limits }
    }

    async fn before(&self, takes: &[Take], clash: Option<&Take>) -> Result<(), Error> {
        if !takes.is_empty() {
            refuse(self.buckets.take(takes).await?)?;
        }
        let Some(clash) = clash else { return Ok(()) };
        // Looks without taking: whether the name is free must not be told by this limit either.
        let look = Take {
            cost: 0,
            ..clash.clone()
        };
        match self.buckets.take(&[look]).await? {
            Decision::Allowed {
                remaining: 0,
                full_after,
            } => {
                let others = f64::from(clash.quota.capacity.saturating_sub(1)) / clash.quota.refill_per_sec;
                let others = Duration::try_from_secs_f64(others).unwrap_or_default();
                Err(Error::RateLimited {
                    retry_after: full_after.saturating_sub(others),
                })
            }
            decision => refuse(decision),
        }
    }

    async fn after(&self, clash: Option<Take>, result: &Result<Outcome<Reply>, Error>) {
        if let (Some(clash), Err(Error::UsernameTaken | Error::EmailTaken)) = (clash, result) {
            // Without an answer of any limiter the call was refused before it got here.
            let _ = self.buckets.take(&[clash]).await;
        }
    }
}

fn refuse(decision: Decision) -> Result<(), Error> {
    match decision {
        Decision::Allowed { .. } => Ok(()),
        Decision::Denied { retry_after, .. } => Err(Error::RateLimited { retry_after }),
    }
}

impl Around for AuthLimit {
    fn around<S: CallService>(&self, inner: &mut S, call: Call) -> CallFuture {
        let (takes, clash) = match call.actor {
            Actor::Operator => (Vec::new(), None),
            Actor::Nobody | Actor::User(_) => (
                self.limits.before(&call.actor, &call.command, call.address),
                self.limits.clash(&call.command, call.address),
            ),
        };
        if takes.is_empty() && clash.is_none() {
            return inner.call(call);
        }
        let limit = self.clone();
        let mut inner = inner.clone();
        Box::pin(async move {
            limit.before(&takes, clash.as_ref()).await?;
            let result = inner.call(call).await;
            limit.after(clash, &result).await;
            result
        })
    }
}
