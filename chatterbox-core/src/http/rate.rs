//! How many requests one may send (S-141): anonymous ones by address; those of a user by user, and with all other users
//! behind the same address.

use std::time::Duration;

use http::{HeaderMap, HeaderName};

use super::client_ip::ClientIp;
use super::error::seconds;
use crate::error::Error;
use crate::ids::UserId;
use crate::layers::Buckets;
use crate::ports::rate_limit::{Decision, Quota, Take};

/// Requests of a full bucket.
pub(super) const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
/// Requests left.
pub(super) const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
/// Seconds until the bucket is full again.
pub(super) const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Users behind one address may send this many times what one of them may.
const USERS_PER_ADDRESS: u32 = 10;

/// Request limits. `None` switches one off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ApiLimits {
    /// Requests without a valid token, from one address.
    pub anonymous_per_address: Option<Quota>,
    /// Requests of one user.
    pub per_user: Option<Quota>,
    /// Requests of all users behind one address.
    pub users_per_address: Option<Quota>,
}

impl Default for ApiLimits {
    /// 100 requests a minute.
    fn default() -> ApiLimits {
        ApiLimits::by(Some(Quota::per(100, Duration::from_mins(1))))
    }
}

impl ApiLimits {
    /// `quota` for an anonymous address and for a user, ten times that for all users behind one address; `None`
    /// switches all of it off.
    pub fn by(quota: Option<Quota>) -> ApiLimits {
        let many = |quota: Quota| Quota {
            capacity: quota.capacity.saturating_mul(USERS_PER_ADDRESS),
            refill_per_sec: quota.refill_per_sec * f64::from(USERS_PER_ADDRESS),
        };
        ApiLimits {
            anonymous_per_address: quota,
            per_user: quota,
            users_per_address: quota.map(many),
        }
    }

    fn takes(&self, user: Option<UserId>, client: ClientIp) -> Vec<Take> {
        let take = |key: String, quota: Option<Quota>| quota.map(|quota| Take { key, quota, cost: 1 });
        let address = client.bucket();
        let takes = match user {
            None => [
                take(format!("api:ip:{address}"), self.anonymous_per_address),
                None,
            ],
            Some(user) => [
                take(format!("api:user:{user}"), self.per_user),
                take(format!("api:users:{address}"), self.users_per_address),
            ],
        };
        takes.into_iter().flatten().collect()
    }
}

/// What became of a request's tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Counted {
    limit: u32,
    decision: Decision,
}

/// Takes a request's tokens; `None` if there is no limit.
pub(super) async fn count(
    limits: &ApiLimits,
    buckets: &Buckets,
    user: Option<UserId>,
    client: ClientIp,
) -> Result<Option<Counted>, Error> {
    let takes = limits.takes(user, client);
    let Some(first) = takes.first() else {
        return Ok(None);
    };
    let decision = buckets.take(&takes).await?;
    let limit = match decision {
        Decision::Denied { bucket, .. } => takes.get(bucket).unwrap_or(first).quota.capacity,
        Decision::Allowed { .. } => first.quota.capacity,
    };
    Ok(Some(Counted { limit, decision }))
}

impl Counted {
    /// The refusal, if there were too few.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.decision {
            Decision::Allowed { .. } => Ok(()),
            Decision::Denied { retry_after, .. } => Err(Error::RateLimited { retry_after }),
        }
    }

    /// Tells the client where it stands.
    pub(super) fn write_headers(&self, headers: &mut HeaderMap) {
        let (remaining, full_after) = match self.decision {
            Decision::Allowed {
                remaining,
                full_after,
            } => (remaining, full_after),
            Decision::Denied { full_after, .. } => (0, full_after),
        };
        headers.insert(LIMIT, self.limit.into());
        headers.insert(REMAINING, remaining.min(self.limit).into());
        headers.insert(RESET, seconds(full_after).into());
    }
}
