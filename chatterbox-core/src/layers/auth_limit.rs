use std::net::IpAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use tower::{Layer, Service};

use super::{Buckets, CallFuture, CallService};
use crate::app::accounts::AuthLimits;
use crate::app::{Actor, Call, Command, Outcome, Reply};
use crate::error::Error;
use crate::ports::rate_limit::{Decision, Take};

/// Limits how often one may try to become somebody (S-141); see [`AuthLimits`]. The operator may try as often as it
/// takes.
#[derive(Clone)]
pub struct AuthLimitLayer {
    buckets: Buckets,
    limits: AuthLimits,
}

impl AuthLimitLayer {
    /// Takes the tokens of `limits` from `buckets`.
    pub fn new(buckets: Buckets, limits: AuthLimits) -> AuthLimitLayer {
        AuthLimitLayer { buckets, limits }
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

/// The takes of a call; none for most.
fn prices(
    limits: &AuthLimits,
    actor: &Actor,
    command: &Command,
    address: Option<IpAddr>,
) -> (Vec<Take>, Option<Take>) {
    (
        limits.before(actor, command, address),
        limits.clash(command, address),
    )
}

impl<S> Layer<S> for AuthLimitLayer {
    type Service = AuthLimit<S>;

    fn layer(&self, inner: S) -> AuthLimit<S> {
        AuthLimit {
            inner,
            limits: self.clone(),
        }
    }
}

/// See [`AuthLimitLayer`].
#[derive(Clone)]
pub struct AuthLimit<S> {
    inner: S,
    limits: AuthLimitLayer,
}

impl<S: CallService> Service<Call> for AuthLimit<S> {
    type Response = Outcome<Reply>;
    type Error = Error;
    type Future = CallFuture;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, call: Call) -> CallFuture {
        let (takes, clash) = match call.actor {
            Actor::Operator => (Vec::new(), None),
            Actor::Nobody | Actor::User(_) => {
                prices(&self.limits.limits, &call.actor, &call.command, call.address)
            }
        };
        if takes.is_empty() && clash.is_none() {
            return self.inner.call(call);
        }
        let limits = self.limits.clone();
        let mut inner = self.inner.clone();
        Box::pin(async move {
            limits.before(&takes, clash.as_ref()).await?;
            let result = inner.call(call).await;
            limits.after(clash, &result).await;
            result
        })
    }
}
