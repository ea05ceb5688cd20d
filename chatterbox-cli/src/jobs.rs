//! Jobs that were given up.

use chatterbox_core::app::jobs::{DiscardJob, ListDeadJobs, RetryJob};

use crate::arguments::Jobs;
use crate::door::Door;
use crate::output::{Failure, Output, id};

/// Jobs listed.
const LISTED: usize = 1000;

pub(crate) async fn run(what: &Jobs, door: &mut Door, output: Output) -> Result<(), Failure> {
    match what {
        Jobs::List => {
            let reply = door.call(ListDeadJobs { limit: LISTED }).await?;
            let items = reply["items"].as_array().cloned().unwrap_or_default();
            output.list(&items, &["id", "kind", "attempts", "buriedAt", "error"])
        }
        Jobs::Retry { id: job } => {
            let reply = door.call(RetryJob { id: id(job, "job")? }).await?;
            output.done(&format!("job {job} is tried again by the next worker"), &reply)
        }
        Jobs::Drop { id: job } => {
            let reply = door.call(DiscardJob { id: id(job, "job")? }).await?;
            output.done(&format!("job {job} is forgotten"), &reply)
        }
    }
}
