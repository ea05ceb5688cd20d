//! The address of the database, and what the driver is told about it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chatterbox_core::domain::secret::Secret;
use mongodb::options::{
    Acknowledgment, ClientOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern,
};

use super::error::MongoOpenError;

/// The database of an address that names none (S-038).
const DATABASE: &str = "chat";

/// Connections besides those that calls share: whether the database works is seen also while all of these are busy.
pub(super) const RESERVED: u32 = 1;

/// How long a server is looked for and connected to. Callers get their answer (503) after so long at most.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How long the server waits for other members to have a write. Below what a call may take as a whole, so that it is the
/// server who gives up.
const MAJORITY_MAX: Duration = Duration::from_secs(4);

/// What hears of every command; tests look at the concerns it carries.
type CommandEvents = mongodb::event::EventHandler<mongodb::event::command::CommandEvent>;

/// How long each call is held up before it is made.
#[derive(Clone)]
pub struct Lag(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Lag {
    /// Asked anew each time.
    pub fn of(time: impl Fn() -> Duration + Send + Sync + 'static) -> Lag {
        Lag(Arc::new(time))
    }

    pub(super) async fn pass(&self) {
        tokio::time::sleep((self.0)()).await;
    }
}

impl fmt::Debug for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lag")
    }
}

/// Where the database is.
#[derive(Debug, Clone)]
pub struct MongoOptions {
    /// `mongodb://` or `mongodb+srv://`, with the name of the database as path (`chat` if there is none). May hold a
    /// password, which is never shown.
    pub uri: Secret,
    /// Connections kept at most for calls (S-143); one more tells whether the database works.
    pub pool: u32,
    /// Hears of every command that is sent.
    pub commands: Option<CommandEvents>,
    /// Holds calls up; tests look at what hostile timing does.
    pub lag: Option<Lag>,
    /// Takes the database for a single server, whatever it says of itself; tests look at what is done otherwise there.
    pub is_single: bool,
}

impl MongoOptions {
    /// The database at an address, over ten connections at most.
    pub fn new(uri: impl Into<Secret>) -> MongoOptions {
        MongoOptions {
            uri: uri.into(),
            pool: 10,
            commands: None,
            lag: None,
            is_single: false,
        }
    }

    /// What the driver is given, and the name of the database.
    pub(super) async fn parse(&self) -> Result<(ClientOptions, String), MongoOpenError> {
        let uri = self.uri.as_str();
        let mut options = ClientOptions::parse(uri)
            .await
            .map_err(|error| MongoOpenError::Address(without_secrets(&error.to_string(), uri)))?;
        options.app_name.get_or_insert_with(|| "chatterbox".to_owned());
        options.max_pool_size = Some(self.pool.max(1) + RESERVED);
        options.connect_timeout = Some(CONNECT_MAX);
        options.server_selection_timeout = Some(CONNECT_MAX);
        options.retry_reads = Some(true);
        // Some servers that speak the protocol know no sessions to retry writes in: their addresses say so.
        options.retry_writes.get_or_insert(true);
        // Reads follow writes; whatever wants more than the newest of the primary asks for it.
        options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        options.read_concern = Some(ReadConcern::local());
        options.write_concern = Some(durable());
        options.command_event_handler.clone_from(&self.commands);
        let database = options
            .default_database
            .clone()
            .unwrap_or_else(|| DATABASE.to_owned());
        Ok((options, database))
    }
}

/// On a majority of the members and in their journals: what was answered stays, whoever becomes primary (S-027).
pub(super) fn durable() -> WriteConcern {
    WriteConcern::builder()
        .w(Acknowledgment::Majority)
        .journal(true)
        .w_timeout(MAJORITY_MAX)
        .build()
}

/// An error of the driver about an address, without the name and password that stand in it.
fn without_secrets(message: &str, uri: &str) -> String {
    let after_scheme = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    // A password that wasn't encoded may itself have slashes and at signs: the last one ends it.
    let Some((user_info, _)) = after_scheme.rsplit_once('@') else {
        return message.to_owned();
    };
    let password = user_info.split_once(':').map_or("", |(_, password)| password);
    let mut shown = message.replace(user_info, "…");
    for part in password.split(['/', '@', ':', '?', '#', '%']).chain([password]) {
        if part.len() > 2 {
            shown = shown.replace(part, "…");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn s_038_a_password_is_in_no_error() {
        for uri in [
            "mongodb://ann:hunter2@",
            "mongodb://ann:hunter2@host:port/chat",
            "mongodb://ann:hunt@hunter2@host/chat",
            "mongodb://ann:x/hunter2@host/chat",
            "mongodb://ann:hunter2%@host/chat",
            "http://ann:hunter2@host/chat",
            "mongodb://ann:hunter2@host/chat?replicaSet",
        ] {
            let options = MongoOptions::new(uri);
            assert!(!format!("{options:?}").contains("hunter2"));
            let error = options.parse().await.map(|_| ()).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[tokio::test]
    async fn s_143_what_the_driver_waits_for_is_bounded() {
        let mut options = MongoOptions::new(
            "mongodb://localhost/?maxPoolSize=900&serverSelectionTimeoutMS=90000&w=1&readPreference=secondary",
        );
        options.pool = 7;
        let (parsed, database) = options.parse().await.unwrap();
        assert_eq!(database, "chat");
        assert_eq!(parsed.max_pool_size, Some(7 + RESERVED));
        assert_eq!(parsed.server_selection_timeout, Some(CONNECT_MAX));
        assert_eq!(parsed.write_concern, Some(durable()));
        let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
        assert_eq!(parsed.selection_criteria, Some(primary));
        assert_eq!(parsed.retry_writes, Some(true));
        let (_, database) = MongoOptions::new("mongodb://localhost/town")
            .parse()
            .await
            .unwrap();
        assert_eq!(database, "town");
    }

    /// Amazon DocumentDB and other servers than MongoDB refuse writes that may be retried.
    #[tokio::test]
    async fn an_address_may_say_that_writes_are_not_retried_by_the_driver() {
        let options = MongoOptions::new("mongodb://localhost/?retryWrites=false");
        assert_eq!(options.parse().await.unwrap().0.retry_writes, Some(false));
    }
}
