//! The command-line tool as an administrator runs it.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::{PATIENCE, binary};

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    /// Exit code.
    pub code: i32,
    /// Its output.
    pub output: String,
    /// Its error output.
    pub errors: String,
}

impl Ran {
    /// The output of a success as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.output).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs `chatterbox-cli` on a data directory, with `input` on its standard input.
pub async fn chatterbox_cli(data_dir: &Path, arguments: &[&str], input: &str) -> Ran {
    let mut child = Command::new(binary("chatterbox-cli"))
        .env_clear()
        .env("DATA_DIR", data_dir)
        .args(arguments)
        .current_dir(data_dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the tool starts");
    let mut pipe = child.stdin.take().expect("it is piped");
    // A tool that ends without reading is judged by what it printed.
    let _ = pipe.write_all(input.as_bytes()).await;
    drop(pipe);
    let output = timeout(PATIENCE, child.wait_with_output())
        .await
        .expect("the tool ends")
        .expect("it can be waited for");
    Ran {
        code: output.status.code().unwrap_or(-1),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
