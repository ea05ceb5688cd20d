//! How often one may try to become somebody (S-141, THREATS.md C6 to C8), as data: the layer takes the tokens before
//! the use case runs, so nothing is hashed for who is over the limit.
//!
//! Whether an account exists changes nothing here. Nobody can lock a victim out from one address: the tight bucket is
//! of address and account together, and the wide one of the account alone refills within a minute.

use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::digest;

use super::Login;
use crate::app::{Actor, Command};
use crate::auth::hex;
use crate::domain::user::LoginName;
use crate::ports::rate_limit::{Quota, Take};

/// The buckets of commands that come without a session. `None` switches one off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AuthLimits {
    /// Logins and registrations from one address.
    pub entries_per_address: Option<Quota>,
    /// Logins to one account from one address; and tries of a user to change the password.
    pub logins_per_account_and_address: Option<Quota>,
    /// Logins to one account from everywhere.
    pub logins_per_account: Option<Quota>,
    /// Refreshes and logouts from one address.
    pub refreshes_per_address: Option<Quota>,
    /// Registrations from one address that found the name or the email address taken (S-052).
    pub clashes_per_address: Option<Quota>,
}

/// Clashes of names and addresses in an hour (S-052).
const CLASHES_PER_HOUR: u32 = 5;

impl Default for AuthLimits {
    /// 10 logins and registrations a minute from one address.
    fn default() -> AuthLimits {
        AuthLimits::by(Quota::per(10, Duration::from_mins(1)))
    }
}

impl AuthLimits {
    /// Everything in proportion to the logins and registrations that one address may make; clashes always 5 an hour.
    pub fn by(entries_per_address: Quota) -> AuthLimits {
        let times = |factor: f64| Quota {
            capacity: scaled(entries_per_address.capacity, factor),
            refill_per_sec: entries_per_address.refill_per_sec * factor,
        };
        AuthLimits {
            entries_per_address: Some(entries_per_address),
            logins_per_account_and_address: Some(times(0.5)),
            logins_per_account: Some(times(10.0)),
            refreshes_per_address: Some(times(6.0)),
            clashes_per_address: Some(Quota::per(CLASHES_PER_HOUR, Duration::from_hours(1))),
        }
    }

    /// None at all.
    pub fn off() -> AuthLimits {
        AuthLimits {
            entries_per_address: None,
            logins_per_account_and_address: None,
            logins_per_account: None,
            refreshes_per_address: None,
            clashes_per_address: None,
        }
    }

    /// What a command costs before it may run.
    pub fn before(&self, actor: &Actor, command: &Command, address: Option<IpAddr>) -> Vec<Take> {
        let address = address_key(address);
        match command {
            Command::Register(_) => take("auth:entry", &address, self.entries_per_address).collect(),
            Command::Login(login) => {
                let account = login_key(login);
                let both = format!("{account}:{address}");
                take("auth:entry", &address, self.entries_per_address)
                    .chain(take("auth:login", &both, self.logins_per_account_and_address))
                    .chain(take("auth:account", &account, self.logins_per_account))
                    .collect()
            }
            Command::ChangePassword(_) => {
                let caller = actor
                    .user()
                    .map_or_else(|_| address, |caller| caller.user.to_string());
                take("auth:password", &caller, self.logins_per_account_and_address).collect()
            }
            Command::Refresh(_) | Command::Logout(_) => {
                take("auth:refresh", &address, self.refreshes_per_address).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The bucket that a registration needs one token of, but takes it only when it clashes.
    pub fn clash(&self, command: &Command, address: Option<IpAddr>) -> Option<Take> {
        match command {
            Command::Register(_) => {
                take("auth:clash", &address_key(address), self.clashes_per_address).next()
            }
            _ => None,
        }
    }
}

/// A short name for the account that a login is for, whether it exists or not. What somebody typed as a username may
/// be a password, so it is not kept as it is.
fn login_key(login: &Login) -> String {
    let name = match login.name() {
        Some(LoginName::Username(key)) => format!("username:{key}"),
        Some(LoginName::Email(key)) => format!("email:{key}"),
        None => "none".to_owned(),
    };
    let hash = digest::digest(&digest::SHA256, name.as_bytes());
    hex(&hash.as_ref()[..12])
}

/// The part of an address that one client can't change at will: all of IPv4, 64 bits of IPv6 (THREATS.md G1).
pub fn address_key(address: Option<IpAddr>) -> String {
    match address.map(|ip| ip.to_canonical()) {
        None => "unknown".to_owned(),
        Some(IpAddr::V4(ip)) => ip.to_string(),
        Some(IpAddr::V6(ip)) => format!("{}/64", std::net::Ipv6Addr::from(u128::from(ip) >> 64 << 64)),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the float is clamped to the range first"
)]
fn scaled(capacity: u32, factor: f64) -> u32 {
    (f64::from(capacity) * factor)
        .ceil()
        .clamp(1.0, f64::from(u32::MAX)) as u32
}

fn take(bucket: &str, of: &str, quota: Option<Quota>) -> impl Iterator<Item = Take> {
    let key = format!("{bucket}:{of}");
    quota.map(|quota| Take { key, quota, cost: 1 }).into_iter()
}
