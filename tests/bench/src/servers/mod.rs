//! The servers under test: how each is started, made ready, looked at, and stopped.

mod chatterbox;
mod launch;
mod node;
mod process;
mod rest;

use clap::ValueEnum;

pub(crate) use self::chatterbox::{Accounts, create_rooms, register};
pub(crate) use self::launch::{Launcher, Server};
pub(crate) use self::node::{Packages, install};
pub(crate) use self::process::{CpuClock, resident_bytes};
use crate::load::Dialect;

/// In the order of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    Bound,
    Chatterbox,
    Socketioxide,
    Node,
    SocketioxideSqlite,
    NodeSqlite,
}

impl Kind {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Chatterbox => "ChatterBox",
            Self::Socketioxide => "socketioxide",
            Self::Node => "Node",
            Self::SocketioxideSqlite => "socketioxide + SQLite",
            Self::NodeSqlite => "Node + SQLite",
        }
    }

    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Self::Chatterbox => Dialect::ChatterBox,
            Self::Bound | Self::Socketioxide | Self::Node | Self::SocketioxideSqlite | Self::NodeSqlite => {
                Dialect::Peer
            }
        }
    }

    /// Whether an acknowledged message is on disk.
    pub(crate) fn stores(self) -> bool {
        match self {
            Self::Chatterbox | Self::SocketioxideSqlite | Self::NodeSqlite => true,
            Self::Bound | Self::Socketioxide | Self::Node => false,
        }
    }
}
