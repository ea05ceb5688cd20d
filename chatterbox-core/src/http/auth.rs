//! Who sends a request: `Authorization: Bearer <access token>`, and nothing else (THREATS.md C9, G12).

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::client_ip::ClientIp;
use super::error::ApiError;
use super::state::RestState;
use crate::app::accounts::LiveSessions;
use crate::app::{Actor, Call, UseCase};
use crate::auth::Principal;
use crate::error::Error;
use crate::ids::UserId;

/// What a request says about its sender, found out once and put into its extensions.
#[derive(Debug, Clone, Copy)]
pub(super) enum Identity {
    /// Nothing.
    Anonymous,
    /// A user with a living session.
    User(Principal),
    /// A token that was good once.
    Expired,
    /// Something that is no good.
    Refused(&'static str),
    /// It could not be found out.
    Unknown,
}

impl Identity {
    pub(super) async fn of(headers: &HeaderMap, live: &LiveSessions) -> Identity {
        let token = match bearer_token(headers) {
            Ok(None) => return Identity::Anonymous,
            Ok(Some(token)) => token,
            Err(why) => return Identity::Refused(why),
        };
        match live.verify(token).await {
            Ok(principal) => Identity::User(principal),
            Err(Error::TokenExpired) => Identity::Expired,
            Err(Error::Unauthenticated(why)) => Identity::Refused(why),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a session could not be checked: {error}"
                );
                Identity::Unknown
            }
        }
    }

    pub(super) fn user(&self) -> Option<Principal> {
        match self {
            Identity::User(principal) => Some(*principal),
            Identity::Anonymous | Identity::Expired | Identity::Refused(_) | Identity::Unknown => None,
        }
    }

    fn require(self) -> Result<Principal, Error> {
        match self {
            Identity::User(principal) => Ok(principal),
            Identity::Anonymous => Err(Error::Unauthenticated("log in first")),
            Identity::Expired => Err(Error::TokenExpired),
            Identity::Refused(why) => Err(Error::Unauthenticated(why)),
            Identity::Unknown => Err(Error::Unavailable(None)),
        }
    }
}

/// The token of a request, if it brings one.
pub(super) fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>, &'static str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err("more than one Authorization header");
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or("the Authorization header is malformed")?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(Some(token.trim()))
    } else {
        Err("only Bearer tokens are understood")
    }
}

/// Who calls from where: anybody. With [`User`] only those with a living session get in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    identity: Identity,
    client: ClientIp,
}

/// A caller with a living session.
#[derive(Debug, Clone, Copy)]
pub(super) struct User(Principal, ClientIp);

impl Caller {
    /// Runs a command in the caller's name.
    pub(super) async fn run<C: UseCase>(self, state: &RestState, command: C) -> Result<C::Reply, Error> {
        let actor = self.identity.user().map_or(Actor::Nobody, Actor::User);
        let call = Call::new(actor, command).from_address(self.client.0);
        state.stack.run_as::<C>(call).await
    }

    pub(super) fn identity(self) -> Identity {
        self.identity
    }
}

impl User {
    /// Who.
    pub(super) fn id(self) -> UserId {
        self.0.user
    }

    /// Runs a command in the user's name.
    pub(super) async fn run<C: UseCase>(self, state: &RestState, command: C) -> Result<C::Reply, Error> {
        let call = Call::new(Actor::User(self.0), command).from_address(self.1.0);
        state.stack.run_as::<C>(call).await
    }
}

impl FromRequestParts<RestState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &RestState) -> Result<Caller, ApiError> {
        let identity = parts.extensions.get().copied().unwrap_or(Identity::Anonymous);
        let client = parts.extensions.get().copied().unwrap_or(ClientIp(None));
        Ok(Caller { identity, client })
    }
}

impl FromRequestParts<RestState> for User {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &RestState) -> Result<User, ApiError> {
        let Caller { identity, client } = Caller::from_request_parts(parts, state).await?;
        Ok(User(identity.require()?, client))
    }
}
