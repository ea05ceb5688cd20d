//! Rooms.

use chatterbox_core::app::rooms::{ArchiveRoom, CreateRoom, ListRooms};
use chatterbox_core::domain::conversation::RoomName;

use crate::arguments::Room;
use crate::door::Door;
use crate::output::{Failure, Output};

pub(crate) async fn run(what: Room, door: &mut Door, output: Output) -> Result<(), Failure> {
    match what {
        Room::List => list(door, output).await,
        Room::Create { name, description } => {
            let reply = door.call(CreateRoom { name, description }).await?;
            let name = reply["name"].as_str().unwrap_or_default().to_owned();
            output.done(&format!("room {name} made"), &reply)
        }
        Room::Archive { name } => {
            let reply = door.call(ArchiveRoom { name: name.clone() }).await?;
            let changed = reply["changed"] == true;
            let sentence = if changed {
                "closed for good"
            } else {
                "was closed before"
            };
            output.done(&format!("room {name} {sentence}"), &reply)
        }
    }
}

async fn list(door: &mut Door, output: Output) -> Result<(), Failure> {
    let mut rooms = Vec::new();
    let mut after = None;
    loop {
        let page = door.call(ListRooms { after, limit: 100 }).await?;
        rooms.extend(page["items"].as_array().cloned().unwrap_or_default());
        let last = rooms.last().and_then(|room| room["name"].as_str());
        match last.and_then(RoomName::look_up) {
            Some(name) if page["hasMore"] == true => after = Some(name),
            Some(_) | None => break,
        }
    }
    output.list(
        &rooms,
        &["name", "memberCount", "onlineCount", "description", "id"],
    )
}
