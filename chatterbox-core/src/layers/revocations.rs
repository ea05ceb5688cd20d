use std::sync::Arc;
use std::time::Duration;

use super::end_sessions;
use crate::app::EndReason;
use crate::clock::{Clock, Timestamp};
use crate::hub::{Channel, Hub};
use crate::outage::Outage;
use crate::ports::storage::SessionStore;

/// How often a node looks for revocations of others: with the rest of the way a socket ends within a second (I8).
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How far back it looks: clocks of nodes differ, and a socket may have come in on an answer that was a second old.
const LOOK_BACK_MS: i64 = 10_000;
/// Sessions taken in one look, earliest first; more at once come with the next looks.
const TAKEN_MAX: usize = 10_000;

/// Closes for ever the sockets of sessions that other nodes have ended, whether their word got here or not: the rows
/// are the truth, the bus is only sooner (S-054).
pub(crate) async fn follow_revocations(
    sessions: Arc<dyn SessionStore>,
    clock: Arc<dyn Clock>,
    hub: Arc<Hub<Channel>>,
) {
    let mut outage = Outage::new("sessions that other nodes have ended can't be read");
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let since = clock.now().as_millis().saturating_sub(LOOK_BACK_MS);
        match sessions
            .revoked_since(Timestamp::from_millis(since), TAKEN_MAX)
            .await
        {
            Ok(revoked) => {
                outage.worked();
                end_sessions(&hub, &revoked, EndReason::Revoked);
            }
            Err(error) => outage.failed(&error),
        }
    }
}
