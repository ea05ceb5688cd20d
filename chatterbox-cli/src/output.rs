//! Answers for people and for scripts.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;

use chatterbox_server::config::Problem;
use chatterbox_server::control::ClientError;
use chatterbox_server::run::StartError;
use serde::Serialize;
use serde_json::{Value, json};

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the configuration is wrong")]
    Configuration(Vec<Problem>),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Server(#[from] ClientError),
    #[error("{code}: {message}")]
    Refused { code: String, message: String },
    #[error("{0}")]
    Wrong(String),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Prints answers, as JSON or for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Output {
        Output { json }
    }

    /// Whether scripts read this.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// One thing: its fields one below the other.
    pub(crate) fn record<T: Serialize>(self, record: &T) -> Result<(), Failure> {
        let value = serde_json::to_value(record).map_err(io::Error::other)?;
        if self.json {
            return print(&format!("{value:#}\n"));
        }
        let rows: Vec<Vec<String>> = value
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| vec![name.clone(), cell(value)])
            .collect();
        print(&table(&rows))
    }

    /// Many things: chosen fields side by side.
    pub(crate) fn list(self, items: &[Value], columns: &[&str]) -> Result<(), Failure> {
        if self.json {
            return print(&format!("{:#}\n", json!({"items": items})));
        }
        let mut rows = vec![columns.iter().map(|name| name.to_uppercase()).collect::<Vec<_>>()];
        rows.extend(
            items
                .iter()
                .map(|item| columns.iter().map(|name| cell(&item[name])).collect()),
        );
        print(&table(&rows))
    }

    /// Says what was done; the reply for scripts.
    pub(crate) fn done(self, sentence: &str, reply: &Value) -> Result<(), Failure> {
        if self.json {
            print(&format!("{reply:#}\n"))
        } else {
            print(&format!("{sentence}\n"))
        }
    }
}

/// Says why nothing was done; the exit code that goes with it.
pub(crate) fn failed(failure: &Failure) -> ExitCode {
    let mut errors = io::stderr().lock();
    let code = match failure {
        Failure::Configuration(problems) => {
            for problem in problems {
                let _ = writeln!(errors, "{problem}");
            }
            2
        }
        Failure::Server(ClientError::Refused(refused)) => {
            let _ = writeln!(errors, "{}: {}", refused.code, refused.message);
            1
        }
        Failure::Start(_)
        | Failure::Server(_)
        | Failure::Refused { .. }
        | Failure::Wrong(_)
        | Failure::Io(_) => {
            let _ = writeln!(errors, "{failure}");
            1
        }
    };
    ExitCode::from(code)
}

/// An id that was typed.
pub(crate) fn id<T: FromStr>(text: &str, what: &str) -> Result<T, Failure> {
    text.parse()
        .map_err(|_| Failure::Wrong(format!("{text} is not the id of a {what}")))
}

/// Prints text as it is.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        // Somebody's `| head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// A value as people read it. What users wrote must not steer the terminal (THREATS.md E10).
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(answer) => if *answer { "yes" } else { "no" }.to_owned(),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    text.chars()
        .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
        .collect()
}

fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up_and_cells_cannot_steer_the_terminal() {
        let rows = vec![
            vec!["NAME".to_owned(), "ID".to_owned()],
            vec![cell(&json!("\u{1b}[2Jmallory")), cell(&json!(7))],
        ];
        assert_eq!(table(&rows), "NAME         ID\n\u{FFFD}[2Jmallory  7\n");
    }
}
