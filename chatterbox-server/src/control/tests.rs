use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use async_trait::async_trait;
use chatterbox_core::app::rooms::ListRooms;
use chatterbox_core::app::{Command, Reply, rooms};
use chatterbox_core::error::Error;
use chatterbox_core::tasks::Tasks;

use super::*;
use crate::lock::Lock;

/// Answers lists with nothing, refuses everything else.
struct Fake;

#[async_trait]
impl Handler for Fake {
    async fn call(&self, command: Command) -> Result<Reply, Error> {
        if let Command::ListRooms(_) = command {
            let list = rooms::RoomList {
                items: Vec::new(),
                has_more: false,
            };
            return Ok(list.into());
        }
        Err(Error::DuplicateRoom)
    }

    fn status(&self) -> Status {
        Status {
            version: "1.2.3".to_owned(),
            process: 1,
            url: "http://localhost:3000".to_owned(),
            environment: "development".to_owned(),
            uptime_secs: 5,
            connections: 7,
        }
    }
}

fn list() -> Command {
    let list = ListRooms {
        after: None,
        limit: 10,
    };
    list.into()
}

#[tokio::test]
async fn commands_go_out_and_replies_and_refusals_come_back() {
    let dir = tempfile::tempdir().unwrap();
    assert!(
        Client::connect(dir.path()).await.unwrap().is_none(),
        "nobody serves yet"
    );

    // A socket that a dead process left behind.
    drop(UnixListener::bind(socket_path(dir.path())).unwrap());
    assert!(
        Client::connect(dir.path()).await.unwrap().is_none(),
        "nobody listens on it"
    );

    let lock = Lock::take(dir.path()).unwrap();
    let tasks = Tasks::new();
    serve(&lock, Arc::new(Fake), &tasks).unwrap();
    let mode = std::fs::metadata(socket_path(dir.path()))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let mut client = Client::connect(dir.path()).await.unwrap().unwrap();
    assert_eq!(client.status().await.unwrap(), Fake.status());
    let reply = client.call(&list()).await.unwrap();
    assert_eq!(reply["items"], serde_json::json!([]));
    let create = rooms::CreateRoom {
        name: "general".to_owned(),
        description: None,
    };
    let error = client.call(&create.into()).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Refused(refused) if refused.code == "DUPLICATE_ROOM"),
        "{error}"
    );
    tasks.stop().await;
}

#[tokio::test]
async fn nonsense_is_refused_and_costs_nothing() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let dir = tempfile::tempdir().unwrap();
    let lock = Lock::take(dir.path()).unwrap();
    let tasks = Tasks::new();
    serve(&lock, Arc::new(Fake), &tasks).unwrap();
    for body in [
        "",
        "{",
        "null",
        r#"{"command":"launchRockets"}"#,
        r#"{"command":"createRoom","name":{}}"#,
    ] {
        let mut stream = tokio::net::UnixStream::connect(socket_path(dir.path()))
            .await
            .unwrap();
        let length = body.len();
        let request = format!(
            "POST /command HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.contains("BAD_COMMAND"),
            "{body}: {answer}"
        );
    }
    let mut client = Client::connect(dir.path()).await.unwrap().unwrap();
    client.call(&list()).await.unwrap();
    tasks.stop().await;
}
