//! How many people watch a room, over all nodes (S-074): each node names those it knows of, again and again.

use std::time::Duration;

use super::Reporter;
use crate::ports::presence::PresenceError;

/// How often a node names those who watch rooms there.
pub(super) const COUNT_EVERY: Duration = Duration::from_secs(5);
/// Who is not named again counts so long (I7).
const COUNTED: Duration = Duration::from_secs(13);

impl Reporter {
    pub(super) async fn count_rooms(&self) -> Result<(), PresenceError> {
        let rooms = self.deliveries.people_in_rooms();
        if rooms.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        self.port.watch_rooms(&rooms, now, now.plus(COUNTED)).await
    }
}
