//! The real server binary as a child process on a directory of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::{PATIENCE, Rest, binary};

/// Linux tells times of processes in hundredths of a second, on every machine (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// What a server is started with.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    environment: Vec<(String, String)>,
}

impl Setup {
    /// Free port, own directory, no rate limits, warnings in the log.
    pub fn new() -> Setup {
        Setup::default()
    }

    /// With a variable set.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Setup {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Starts a server on a fresh directory and waits until it is ready.
    pub async fn start(self) -> TestServer {
        let directory = Arc::new(TempDir::new().expect("a temporary directory"));
        TestServer::launch(self, directory).await
    }
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct TestServer {
    child: Child,
    url: String,
    setup: Setup,
    directory: Arc<TempDir>,
    // Kept open, so that the server's later output has a reader.
    _output: tokio::process::ChildStdout,
    greeting: String,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// All it wrote to its standard error output.
    pub log: String,
}

impl TestServer {
    /// A server with nothing special.
    pub async fn start() -> TestServer {
        Setup::new().start().await
    }

    async fn launch(setup: Setup, directory: Arc<TempDir>) -> TestServer {
        let mut command = command(directory.path(), &setup.environment);
        // Appended, so that the logs of all starts on one directory stand in one file.
        let log = File::options()
            .append(true)
            .create(true)
            .open(directory.path().join("log"))
            .expect("a log file");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut greeting = String::new();
        let read = timeout(PATIENCE, output.read_line(&mut greeting)).await;
        let url = greeting
            .split_whitespace()
            .find(|word| word.starts_with("http://"));
        let Some(url) = url.filter(|_| matches!(read, Ok(Ok(_)))) else {
            let log = fs::read_to_string(directory.path().join("log")).unwrap_or_default();
            panic!("the server did not say where it listens, but {greeting:?}; its log:\n{log}");
        };
        TestServer {
            url: url.trim_end_matches([',', '.', '/']).to_owned(),
            child,
            setup,
            directory,
            _output: output.into_inner(),
            greeting,
        }
    }

    /// Where it is, such as `http://127.0.0.1:12345`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The first line it printed.
    pub fn greeting(&self) -> &str {
        &self.greeting
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// The REST API without a login.
    pub fn rest(&self) -> Rest {
        Rest::new(&self.url)
    }

    /// CPU time that it has used so far, its own and the system's for it, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        let id = self.child.id().expect("it runs");
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).expect("it runs");
        // The name stands in parentheses and may hold anything. Fields 14 and 15 are user and system time.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = |field: usize| fields.split_whitespace().nth(field - 3)?.parse::<f64>().ok();
        (ticks(14).unwrap_or_default() + ticks(15).unwrap_or_default()) / TICKS_PER_SECOND
    }

    /// Ends it as a power cut would (SIGKILL), and gives what is needed to start again on the same directory.
    pub async fn killed(mut self) -> Stopped {
        self.child.kill().await.expect("it can be killed");
        Stopped {
            setup: self.setup.clone(),
            directory: Arc::clone(&self.directory),
        }
    }

    /// Sends a signal such as `TERM`.
    pub async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        // The shell's own kill: the program of that name is not on every machine.
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {id}")])
            .status()
            .await;
        assert!(sent.expect("sh runs").success());
    }

    /// Waits until it has ended by itself.
    pub async fn ended(mut self) -> (Ended, Stopped) {
        let status = timeout(PATIENCE, self.child.wait())
            .await
            .expect("the server ends")
            .expect("it can be waited for");
        let ended = Ended {
            code: status.code(),
            log: self.log(),
        };
        let stopped = Stopped {
            setup: self.setup.clone(),
            directory: Arc::clone(&self.directory),
        };
        (ended, stopped)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the server's log:\n{}", self.log());
        }
    }
}

/// A server that has ended, with its directory.
#[derive(Debug)]
pub struct Stopped {
    setup: Setup,
    directory: Arc<TempDir>,
}

impl Stopped {
    /// Starts again on the same directory, with the same setup.
    pub async fn restarted(self) -> TestServer {
        TestServer::launch(self.setup, self.directory).await
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }
}

/// Runs a server that is expected to end by itself.
pub async fn run_to_end(data_dir: &Path, environment: &[(&str, &str)]) -> Ended {
    let directory = TempDir::new().expect("a temporary directory");
    let mut variables = vec![("DATA_DIR".to_owned(), data_dir.display().to_string())];
    variables.extend(
        environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    let mut command = command(directory.path(), &variables);
    let output = timeout(PATIENCE, command.stdin(Stdio::null()).output())
        .await
        .expect("the server ends")
        .expect("the server starts");
    Ended {
        code: output.status.code(),
        log: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn command(directory: &Path, environment: &[(String, String)]) -> Command {
    let mut command = Command::new(binary("chatterbox-server"));
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("PORT", "0")
        .env("HOST", "127.0.0.1")
        .env("DATA_DIR", directory.join("data"))
        .env("LOG_LEVEL", "warn")
        .env("RATE_LIMIT_API", "0")
        .env("RATE_LIMIT_WS", "0")
        .env("RATE_LIMIT_AUTH", "0")
        .envs(environment.iter().cloned())
        .current_dir(directory)
        .kill_on_drop(true);
    command
}
