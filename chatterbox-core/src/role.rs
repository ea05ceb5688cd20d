//! What one process does of a chat (S-023).

use std::fmt;

/// The part of a chat that a process serves. Over one store and one bus, the processes together do everything.
///
/// ```text
///          REST   sockets   jobs, repairs     health, commands of the operator
/// api       ×                                            ×
/// ws                 ×                                   ×
/// worker                        ×                        ×
/// all       ×        ×          ×                        ×
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// The REST API.
    Api,
    /// Sockets.
    Ws,
    /// Jobs, and repairs of what a crash has left.
    Worker,
    /// Everything.
    #[default]
    All,
}

impl Role {
    /// Whether it answers the REST API. Health is answered by all.
    pub fn serves_rest(self) -> bool {
        match self {
            Role::Api | Role::All => true,
            Role::Ws | Role::Worker => false,
        }
    }

    /// Whether it takes sockets.
    pub fn serves_sockets(self) -> bool {
        match self {
            Role::Ws | Role::All => true,
            Role::Api | Role::Worker => false,
        }
    }

    /// Whether it runs jobs and repairs.
    pub fn works(self) -> bool {
        match self {
            Role::Worker | Role::All => true,
            Role::Api | Role::Ws => false,
        }
    }

    /// As it is written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Api => "api",
            Role::Ws => "ws",
            Role::Worker => "worker",
            Role::All => "all",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
