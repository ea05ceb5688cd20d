//! Another member of a MongoDB replica set becomes primary. Only where there is one: `MONGODB_FAILOVER=1 ./test` with its
//! address in MONGODB_URI (docs/TESTING.md).

use std::time::Duration;

use chatterbox_tests::{ClusterSetup, backend};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use tokio::time::{sleep, timeout};

use crate::play::Play;

/// Until another primary is elected.
const ELECTION_MAX: Duration = Duration::from_mins(1);

/// A replica set whose primary does what it is told.
struct ReplicaSet {
    client: Client,
}

impl ReplicaSet {
    /// The one at MONGODB_URI. Fails unless it has members that could become primary.
    async fn given() -> ReplicaSet {
        let client = Client::with_uri_str(backend("MONGODB_URI"))
            .await
            .expect("an address of MongoDB");
        let set = ReplicaSet { client };
        let hello = set.says(doc! { "hello": 1 }).await.expect("MongoDB answers");
        let members = hello.get_array("hosts").map_or(0, Vec::len);
        assert!(
            hello.contains_key("setName") && members > 1,
            "MONGODB_FAILOVER wants a replica set of several members that hold data at MONGODB_URI; this one has the set name {:?} \
             and {members}",
            hello.get("setName")
        );
        set
    }

    async fn says(&self, command: Document) -> mongodb::error::Result<Document> {
        self.client.database("admin").run_command(command).await
    }

    async fn primary(&self) -> Option<String> {
        let hello = self.says(doc! { "hello": 1 }).await.ok()?;
        hello.get_str("me").ok().map(str::to_owned)
    }

    /// The primary becomes a secondary for a minute. `force`d it does so at once, though no other may have all it has: what
    /// only it has is taken back.
    async fn steps_down(&self, force: bool) {
        let before = self.primary().await.expect("a primary");
        let waits = if force { 0 } else { 10 };
        let step_down = doc! { "replSetStepDown": 60, "secondaryCatchUpPeriodSecs": waits, "force": force };
        // Members may close the connection rather than answer.
        let answer = self.says(step_down).await;
        let elected = async {
            loop {
                match self.primary().await {
                    Some(now) if now != before => return now,
                    // Nothing tells of an election.
                    Some(_) | None => sleep(Duration::from_millis(100)).await,
                }
            }
        };
        let Ok(now) = timeout(ELECTION_MAX, elected).await else {
            panic!("{before} is still the primary; it said {answer:?}");
        };
        println!("{now} is the primary instead of {before}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a MongoDB replica set whose primary may be told to step down: MONGODB_FAILOVER=1 ./test"]
async fn a_primary_that_steps_down_loses_nothing_it_acknowledged() {
    let set = ReplicaSet::given().await;
    let mut play = Play::begin("MongoDB's primary steps down, twice", ClusterSetup::new()).await;
    set.steps_down(false).await;
    play.people_go().await;
    play.everybody_sends(20).await;
    sleep(Duration::from_millis(play.random.below(1_000))).await;
    set.steps_down(true).await;
    play.ends().await;
}
