//! The way to the command stack: through the running server, or around it when none runs.

use chatterbox_core::app::Command;
use chatterbox_core::role::Role;
use chatterbox_server::config::Config;
use chatterbox_server::control::{Client, Status};
use chatterbox_server::run::Node;
use serde_json::Value;

use crate::output::Failure;

/// Where commands go.
pub(crate) enum Door {
    /// A server runs; it does them.
    Server(Client),
    /// None runs: the store is opened under the lock, so none can start meanwhile.
    Store(Box<Node>),
}

impl Door {
    pub(crate) async fn open(config: &Config) -> Result<Door, Failure> {
        if let Some(client) = Client::connect(&config.data_dir).await? {
            return Ok(Door::Server(client));
        }
        // Beside other nodes, if there are any: it runs no jobs and takes no sockets.
        let config = Config {
            role: Role::Api,
            ..config.clone()
        };
        Ok(Door::Store(Box::new(Node::open(&config).await?)))
    }

    /// Has a command done; its reply as JSON.
    pub(crate) async fn call(&mut self, command: impl Into<Command>) -> Result<Value, Failure> {
        let command = command.into();
        match self {
            Door::Server(client) => Ok(client.call(&command).await?),
            Door::Store(node) => {
                let reply = node.call(command).await.map_err(|error| Failure::Refused {
                    code: error.code().to_owned(),
                    message: error.to_string(),
                })?;
                Ok(serde_json::to_value(reply).map_err(std::io::Error::other)?)
            }
        }
    }

    pub(crate) async fn close(self) {
        match self {
            Door::Server(_) => {}
            Door::Store(node) => node.close().await,
        }
    }
}

/// How the running server is.
pub(crate) async fn status(config: &Config) -> Result<Status, Failure> {
    let Some(mut client) = Client::connect(&config.data_dir).await? else {
        let text = format!("no server runs on DATA_DIR {}", config.data_dir.display());
        return Err(Failure::Wrong(text));
    };
    Ok(client.status().await?)
}
