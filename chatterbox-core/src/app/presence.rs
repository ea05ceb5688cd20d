//! Connections coming and going (S-007).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{App, Caller, Effect, Error, Outcome, UseCase};
use crate::log::Subscribed;

/// A connection of the calling user came up.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Connect {
    /// What it hears, if that was just read.
    #[serde(skip)]
    pub circle: Option<Arc<Subscribed>>,
}

/// Taken note of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Connected {}

impl UseCase for Connect {
    type Reply = Connected;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, _app: &App, by: Caller) -> Result<Outcome<Connected>, Error> {
        let principal = by.actor.user()?;
        Ok(Outcome::of(Connected {}).with(Effect::Arrived {
            user: principal.user,
            circle: self.circle,
        }))
    }
}

/// A connection of the calling user ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Disconnect {}

/// Taken note of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disconnected {}

impl UseCase for Disconnect {
    type Reply = Disconnected;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, _app: &App, by: Caller) -> Result<Outcome<Disconnected>, Error> {
        let principal = by.actor.user()?;
        Ok(Outcome::of(Disconnected {}).with(Effect::Left {
            user: principal.user,
            session: principal.session,
        }))
    }
}
