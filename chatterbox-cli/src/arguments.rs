//! What can be typed.

use chatterbox_server::config;
use clap::{CommandFactory, Parser, Subcommand};

/// Administrates a ChatterBox server: through its control socket while it runs, else on its store directly.
///
/// Exit codes: 0 done, 1 refused or failed, 2 wrong configuration or arguments.
#[derive(Debug, Parser)]
#[command(name = "chatterbox-cli", version)]
pub(crate) struct Arguments {
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) area: Area,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Area {
    /// Accounts
    #[command(subcommand)]
    User(User),
    /// Logins
    #[command(subcommand)]
    Session(Session),
    /// Rooms
    #[command(subcommand)]
    Room(Room),
    /// Jobs that were given up
    #[command(subcommand)]
    Jobs(Jobs),
    /// How the running server is; exit code 1 if none runs
    Status,
    /// The configuration
    #[command(subcommand)]
    Config(Configuration),
}

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Create an account; the password is read from the standard input
    Create {
        /// Unique name
        username: String,
        /// Unique address
        email: String,
        /// Name to show beside the username
        #[arg(long)]
        display_name: Option<String>,
        /// Let it administrate the server
        #[arg(long)]
        admin: bool,
    },
    /// List all accounts
    List,
    /// Suspend an account and end its sessions
    Suspend {
        /// Username or id
        user: String,
    },
    /// Lift a suspension
    Unsuspend {
        /// Username or id
        user: String,
    },
    /// Let somebody administrate the server
    Admin {
        /// Username or id
        user: String,
        /// Take the right away again
        #[arg(long)]
        revoke: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Session {
    /// List the living sessions of a user
    List {
        /// Username or id
        user: String,
    },
    /// End one session of a user, or all of them
    Revoke {
        /// Username or id
        user: String,
        /// Which one
        #[arg(required_unless_present = "all")]
        session: Option<String>,
        /// Every one
        #[arg(long, conflicts_with = "session")]
        all: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Room {
    /// List all open rooms
    List,
    /// Make a room
    Create {
        /// Unique name: 2 to 32 of a-z, 0-9 and -
        name: String,
        /// What it is about
        #[arg(long)]
        description: Option<String>,
    },
    /// Close a room for good: readable, but nothing is added
    Archive {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Jobs {
    /// List the jobs that failed for good, the newest 1,000: what they were to do, and why they failed
    List,
    /// Have one tried again, as if it were new
    Retry {
        /// Its id
        id: String,
    },
    /// Forget one; it is never done
    Drop {
        /// Its id
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Configuration {
    /// Print every variable with its value and where it comes from; exit code 2 if something is wrong
    Check,
    /// Print the reference of all variables, each with its value and where that comes from
    Doc,
}

/// The arguments, and a flag for every variable of the server, so that both find the same data directory.
pub(crate) fn command() -> clap::Command {
    let flags = config::flags()
        .into_iter()
        .map(|flag| flag.global(true).hide(true));
    Arguments::command()
        .args(flags)
        .after_help("Takes every flag of chatterbox-server (chatterbox-server --help), --data-dir above all.")
}
