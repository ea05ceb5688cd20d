//! What reading costs in a town of 100,000 users with a million messages, over REST and sockets on the embedded store.
//!
//! ```text
//! cargo bench -p chatterbox-tests --bench large              seeds two towns, one a tenth of the other: some minutes
//! cargo bench -p chatterbox-tests --bench large -- --smoke   a village: shows that it works
//! ```
//! The reader is in 50 conversations in either town, so what differs is the number of *other* conversations: the last
//! column must stay near 1. Rows are those that SQLite's statements gave.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark prints its table, and stops when something is wrong"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use chatterbox_core::domain::conversation::{History, NewGroup, Visibility};
use chatterbox_core::domain::entry::Seq;
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::{Appended, Stores};
use chatterbox_core::server::{ChatServer, Ports, Settings};
use chatterbox_core::tasks::Tasks;
use chatterbox_core::testkit::SeededIds;
use chatterbox_core::testkit::samples::{message, new_user, now};
use chatterbox_server::adapters::embedded::EmbeddedStore;
use chatterbox_server::adapters::embedded::measure::rows_read;
use chatterbox_tests::{PASSWORD, Random, Rest, Socket};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Users who read, each in so many conversations.
const READERS: usize = 20;
const CONVERSATIONS_OF_READER: usize = 50;
/// Conversations that a client which comes back is behind in, and by how much in all.
const RESUMED: usize = 20;
const BEHIND: usize = 1_000;
/// Entries of one append.
const BATCH: usize = 250;
/// Words that messages are made of, and words of each.
const VOCABULARY: u64 = 20_000;
const WORDS: u64 = 12;

/// How much there is.
#[derive(Clone, Copy)]
struct Size {
    users: usize,
    conversations: usize,
    messages_each: usize,
    samples: usize,
}

const TOWN: Size = Size {
    users: 100_000,
    conversations: 1_000,
    messages_each: 1_000,
    samples: 400,
};

/// Shows that the benchmark works.
const VILLAGE: Size = Size {
    users: 1_000,
    conversations: 100,
    messages_each: 50,
    samples: 3,
};

fn main() {
    let smoke = std::env::args().any(|argument| argument == "--smoke");
    let town = if smoke { VILLAGE } else { TOWN };
    let part = Size {
        users: town.users / 10,
        conversations: (town.conversations / 10).max(CONVERSATIONS_OF_READER),
        ..town
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let [of_part, of_town] = [part, town].map(|size| runtime.block_on(measure(size)));
    println!("\n| operation | p50 ms | p99 ms | rows | p50, x a tenth of the town | rows, x |");
    println!("| - | - | - | - | - | - |");
    for (whole, part) in of_town.iter().zip(&of_part) {
        println!(
            "| {} | {:.2} | {:.2} | {:.0} | {:.2} | {:.2} |",
            whole.name,
            whole.percentile(50),
            whole.percentile(99),
            whole.rows,
            whole.percentile(50) / part.percentile(50),
            whole.rows / part.rows,
        );
    }
}

/// An operation, measured many times.
struct Measured {
    name: &'static str,
    times: Vec<Duration>,
    /// Of one run, in the mean.
    rows: f64,
}

impl Measured {
    fn percentile(&self, percent: usize) -> f64 {
        let mut times = self.times.clone();
        times.sort_unstable();
        times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3
    }
}

/// A count as a number to divide by; counts here are far below four billion.
fn whole(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

/// Somebody whose reading is measured.
struct Reader {
    id: UserId,
    token: String,
    conversations: Vec<ConversationId>,
}

async fn measure(size: Size) -> Vec<Measured> {
    let directory = tempfile::tempdir_in(".").unwrap();
    let begun = Instant::now();
    let readers = seed(directory.path(), size).await;
    let store = EmbeddedStore::open(directory.path()).unwrap();
    let mut town = Town::over(store, readers).await;
    town.wait_for_the_index().await;
    println!(
        "{} users, {} conversations, {} messages: ready after {:?}",
        size.users,
        size.conversations,
        size.conversations * size.messages_each,
        begun.elapsed()
    );
    let mut random = Random::from_environment();
    let mut all = Vec::new();
    for operation in OPERATIONS {
        // Once to warm up.
        town.run(*operation, &mut random, 0).await;
        let before = rows_read();
        let mut times = Vec::with_capacity(size.samples);
        for sample in 0..size.samples {
            times.push(town.run(*operation, &mut random, sample).await);
        }
        all.push(Measured {
            name: operation.name(),
            times,
            rows: whole(rows_read() - before) / whole(size.samples as u64),
        });
    }
    town.close().await;
    all
}

#[derive(Clone, Copy)]
enum Operation {
    NewestPage,
    List,
    OneTerm,
    TwoTerms,
    Resume,
}

const OPERATIONS: &[Operation] = &[
    Operation::NewestPage,
    Operation::List,
    Operation::OneTerm,
    Operation::TwoTerms,
    Operation::Resume,
];

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Operation::NewestPage => "newest page of a conversation (50)",
            Operation::List => "list of 50 conversations, last message, unread",
            Operation::OneTerm => "search of one term",
            Operation::TwoTerms => "search of two terms",
            Operation::Resume => "resume, 1,000 entries behind in 20 conversations",
        }
    }
}

/// A running server over the seeded store.
struct Town {
    store: EmbeddedStore,
    tasks: Tasks,
    url: String,
    readers: Vec<Reader>,
}

impl Town {
    async fn over(store: EmbeddedStore, readers: Vec<Reader>) -> Town {
        let tasks = Tasks::new();
        let url = serve(&store, &tasks).await;
        Town {
            store,
            tasks,
            url,
            readers,
        }
    }

    /// Until the last message can be found.
    async fn wait_for_the_index(&self) {
        loop {
            if !self.found(LAST_WORD).await.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn found(&self, query: &str) -> Vec<Value> {
        let answer = self
            .rest(&self.readers[0])
            .get(&format!("/api/search/messages?q={query}"))
            .await;
        answer.ok()["items"].as_array().unwrap().clone()
    }

    fn rest(&self, reader: &Reader) -> Rest {
        Rest::new(&self.url).with_token(&reader.token)
    }

    async fn run(&mut self, operation: Operation, random: &mut Random, sample: usize) -> Duration {
        let reader = &self.readers[sample % self.readers.len()];
        let rest = self.rest(reader);
        // The connection is made before.
        rest.get("/api/auth/me").await.ok();
        let mut term = || word(random.below(VOCABULARY));
        let path = match operation {
            Operation::NewestPage => {
                let id = reader.conversations[sample % reader.conversations.len()];
                format!("/api/conversations/{id}/messages?limit=50")
            }
            Operation::List => "/api/conversations?limit=50".to_owned(),
            Operation::OneTerm => format!("/api/search/messages?q={}", term()),
            Operation::TwoTerms => format!("/api/search/messages?q={}%20{}", term(), term()),
            Operation::Resume => return self.resumes(reader).await,
        };
        let begun = Instant::now();
        let answer = rest.get(&path).await;
        let took = begun.elapsed();
        let items = answer.ok()["items"].as_array().unwrap().len();
        match operation {
            Operation::NewestPage | Operation::List => assert_eq!(items, 50, "{path}"),
            Operation::OneTerm | Operation::TwoTerms | Operation::Resume => {}
        }
        took
    }

    /// From `auth` to the answer behind the last replayed entry.
    async fn resumes(&self, reader: &Reader) -> Duration {
        let mut heads = Vec::new();
        for id in &reader.conversations[..RESUMED] {
            let found = self
                .rest(reader)
                .get(&format!("/api/conversations/{id}"))
                .await
                .ok();
            heads.push((id.to_string(), found["headSeq"].as_u64().unwrap()));
        }
        let behind = (BEHIND / RESUMED) as u64;
        let cursors: serde_json::Map<String, Value> = heads
            .into_iter()
            .map(|(id, head)| (id, json!(head.saturating_sub(behind))))
            .collect();
        let mut socket = Socket::connect(&self.url, None).await.unwrap();
        let begun = Instant::now();
        let auth = json!({"token": reader.token, "cursors": cursors});
        let answer = socket.ask("auth", auth).await.unwrap();
        assert_eq!(answer["ok"], true, "{answer}");
        let replayed = RESUMED * usize::try_from(behind).unwrap();
        for _ in 0..replayed {
            socket.hear("new-message").await.unwrap();
        }
        begun.elapsed()
    }

    async fn close(self) {
        self.tasks.stop().await;
        self.store.close().await;
    }
}

/// Serves the store on a free port; where.
async fn serve(store: &EmbeddedStore, tasks: &Tasks) -> String {
    let mut settings = Settings::new(b"a benchmark's secret, which is no secret".to_vec());
    settings.api_limits = chatterbox_core::http::ApiLimits::by(None);
    settings.auth_limits = chatterbox_core::app::accounts::AuthLimits::off();
    let ports = Ports::of_one_process(store.stores(), store.queue());
    let chat = ChatServer::builder(settings, ports)
        .build(tasks.clone())
        .await
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let spawner = tasks.clone();
    tasks.spawn_until_stopped(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let service =
                tower::util::MapRequest::new(chat.clone(), move |mut request: hyper::Request<_>| {
                    request.extensions_mut().insert(peer);
                    request
                });
            spawner.spawn_until_stopped(async move {
                let connection = auto::Builder::new(TokioExecutor::new());
                let service = TowerToHyperService::new(service);
                let served = connection.serve_connection_with_upgrades(TokioIo::new(stream), service);
                // A client that breaks off is no failure of the server.
                let _ = served.await;
            });
        }
    });
    url
}

/// A word that only the very last message has.
const LAST_WORD: &str = "zyzzyva";

fn word(number: u64) -> String {
    // Consonants and vowels in turn, so that words look like words to the tokenizer.
    let (consonants, vowels) = (b"bcdfghjklmnprstvwz", b"aeiou");
    let mut rest = number + 1_000;
    let mut word = String::new();
    while rest > 0 {
        word.push(char::from(consonants[usize::try_from(rest % 18).unwrap()]));
        rest /= 18;
        word.push(char::from(vowels[usize::try_from(rest % 5).unwrap()]));
        rest /= 5;
    }
    word
}

/// Makes users, conversations and messages; those who will read.
async fn seed(directory: &std::path::Path, size: Size) -> Vec<Reader> {
    let store = EmbeddedStore::open(directory).unwrap();
    let (stores, tasks) = (store.stores(), Tasks::new());
    let url = serve(&store, &tasks).await;
    let mut readers = Vec::new();
    for number in 0..READERS {
        let account = json!({
            "username": format!("reader{number}"), "email": format!("reader{number}@example.org"), "password": PASSWORD,
        });
        let registered = Rest::new(&url).post("/api/auth/register", account).await.ok();
        readers.push(Reader {
            id: registered["user"]["id"].as_str().unwrap().parse().unwrap(),
            token: registered["accessToken"].as_str().unwrap().to_owned(),
            conversations: Vec::new(),
        });
    }
    tasks.stop().await;

    let ids = Arc::new(SeededIds::new(7));
    let users = crowd(&stores, &ids, size.users - READERS).await;
    let mut groups = Vec::new();
    let step = (size.conversations / CONVERSATIONS_OF_READER).max(1);
    for number in 0..size.conversations {
        let mut members: Vec<UserId> = (0..=users.len() / size.conversations)
            .map(|member| users[(number + member * size.conversations) % users.len()])
            .collect();
        let owner = members.remove(0);
        members.retain(|member| *member != owner);
        let id = ConversationId::new(&*ids);
        for (at, reader) in readers.iter_mut().enumerate() {
            if (number + at) % step == 0 && reader.conversations.len() < CONVERSATIONS_OF_READER {
                reader.conversations.push(id);
                members.push(reader.id);
            }
        }
        let group = NewGroup {
            id,
            title: format!("group {number}"),
            description: None,
            visibility: Visibility::Private,
            history: History::All,
            creator: owner,
            members,
            idempotency_key: None,
            created_at: now(),
        };
        stores.conversations.create_group(group).await.unwrap();
        groups.push((id, owner));
    }
    let last = readers[0].conversations[0];
    let mut writing = tokio::task::JoinSet::new();
    let groups = Arc::new(std::sync::Mutex::new(groups));
    for seed in 0..8 {
        let (stores, groups) = (stores.clone(), Arc::clone(&groups));
        writing.spawn(async move {
            let mut random = Random::from_seed(seed + 1);
            let ids = SeededIds::new(1_000 + u32::try_from(seed).unwrap());
            loop {
                let next = groups.lock().unwrap().pop();
                let Some((group, owner)) = next else { return };
                write(&stores, &ids, &mut random, (group, owner), size.messages_each).await;
            }
        });
    }
    writing.join_all().await;
    let head = stores.log.head(last).await.unwrap();
    let end = vec![message(&*ids, readers[0].id, LAST_WORD)];
    stores.log.append(last, head.seq, end).await.unwrap();
    store.close().await;
    readers
}

async fn crowd(stores: &Stores, ids: &Arc<SeededIds>, count: usize) -> Vec<UserId> {
    let mut users = Vec::with_capacity(count);
    for chunk in (0..count).collect::<Vec<_>>().chunks(256) {
        let inserting = chunk.iter().map(|number| {
            let user = new_user(&**ids, &format!("user{number}"));
            async move {
                let id = user.id;
                stores.users.insert(user).await.unwrap();
                id
            }
        });
        users.extend(futures_util::future::join_all(inserting).await);
    }
    users
}

async fn write(
    stores: &Stores,
    ids: &SeededIds,
    random: &mut Random,
    (group, sender): (ConversationId, UserId),
    count: usize,
) {
    let mut head = Seq::ZERO;
    let mut left = count;
    while left > 0 {
        let batch = left.min(BATCH);
        let entries = (0..batch)
            .map(|_| {
                let words: Vec<String> = (0..WORDS).map(|_| word(random.below(VOCABULARY))).collect();
                message(ids, sender, &words.join(" "))
            })
            .collect();
        match stores.log.append(group, head, entries).await.unwrap() {
            Appended::At(added) => head = added.last().unwrap().seq,
            other => panic!("{other:?}"),
        }
        left -= batch;
    }
}
