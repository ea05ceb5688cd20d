//! Where values come from: flags, the environment, `.env`, the TOML file, the defaults, in this order.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{Problem, VARIABLES, later};

/// Who set a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An argument of the command.
    Flag,
    /// The environment.
    Environment,
    /// `.env` in the working directory.
    DotEnv,
    /// The TOML file.
    File(PathBuf),
    /// Nobody.
    Default,
    /// Made at the first start and kept in the data directory.
    Generated(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("flag"),
            Origin::Environment => f.write_str("environment"),
            Origin::DotEnv => f.write_str(".env"),
            Origin::File(path) => path.display().fmt(f),
            Origin::Default => f.write_str("default"),
            Origin::Generated(path) => write!(f, "generated in {}", path.display()),
        }
    }
}

/// What a process was started with. A value, so that tests need no process.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// Flags, by the name of their variable.
    pub flags: BTreeMap<String, String>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// Where `.env` and `chatterbox.toml` are looked for; empty: nowhere.
    pub directory: PathBuf,
    /// The TOML file that was asked for; it must exist.
    pub file: Option<PathBuf>,
}

impl Inputs {
    /// Of this process: its environment (names and values that are not Unicode are none of ours) and directory.
    pub fn of_process(flags: BTreeMap<String, String>, file: Option<PathBuf>) -> Inputs {
        let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let environment: BTreeMap<_, _> = std::env::vars_os().filter_map(unicode).collect();
        let file = file.or_else(|| environment.get(FILE_VARIABLE).map(PathBuf::from));
        Inputs {
            flags,
            environment,
            directory: PathBuf::from("."),
            file,
        }
    }
}

/// Names the TOML file where no flag does.
pub(super) const FILE_VARIABLE: &str = "CHATTERBOX_CONFIG";

/// The TOML file that is read when none is named.
pub(super) const FILE_DEFAULT: &str = "chatterbox.toml";

/// One source and what it sets.
pub(super) struct Layer {
    pub(super) origin: Origin,
    pub(super) values: BTreeMap<String, String>,
}

/// The sources of the process, the strongest first, `.env` left out.
pub(super) fn layers(inputs: &Inputs, problems: &mut Vec<Problem>) -> Vec<Layer> {
    let mut layers = vec![
        Layer {
            origin: Origin::Flag,
            values: inputs.flags.clone(),
        },
        Layer {
            origin: Origin::Environment,
            values: inputs.environment.clone(),
        },
    ];
    let path = match &inputs.file {
        Some(path) => Some(path.clone()),
        None => Some(inputs.directory.join(FILE_DEFAULT)).filter(|path| path.exists()),
    };
    if let Some(path) = path {
        layers.push(Layer {
            values: read_toml(&path, problems),
            origin: Origin::File(path),
        });
    }
    layers
}

/// `.env` of the working directory; `None` if there is none.
pub(super) fn dot_env(directory: &Path, problems: &mut Vec<Problem>) -> Option<Layer> {
    let path = directory.join(".env");
    if directory.as_os_str().is_empty() || !path.exists() {
        return None;
    }
    let read = dotenvy::from_path_iter(&path).and_then(Iterator::collect::<Result<BTreeMap<_, _>, _>>);
    let values = read.unwrap_or_else(|error| {
        // The message of a parse error quotes the line, which may hold a secret.
        let text = match error {
            dotenvy::Error::Io(error) => format!("can't be read: {error}"),
            dotenvy::Error::LineParse(_, index) => format!("has a malformed line, at byte {index} of it"),
            _ => "is malformed".to_owned(),
        };
        problems.push(Problem::new(".env", text));
        BTreeMap::new()
    });
    if values
        .get("NODE_ENV")
        .or(values.get("CHATTERBOX_ENV"))
        .is_some_and(|value| value == "production")
    {
        problems.push(Problem::new(
            "NODE_ENV",
            "is \"production\" in .env, which is read in development only; set it in the environment"
                .to_owned(),
        ));
    }
    Some(Layer {
        origin: Origin::DotEnv,
        values,
    })
}

fn read_toml(path: &Path, problems: &mut Vec<Problem>) -> BTreeMap<String, String> {
    let file = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(Problem::new(file, format!("can't be read: {error}")));
            return BTreeMap::new();
        }
    };
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            // The message of a parse error quotes the line, which may hold a secret.
            let line = error
                .span()
                .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            problems.push(Problem::new(file, format!("line {line}: {}", error.message())));
            return BTreeMap::new();
        }
    };
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let name = key.to_uppercase();
        let known = VARIABLES.iter().any(|variable| variable.key() == key);
        if !known && !later::is_later(&name) {
            problems.push(Problem::new(
                format!("{file}: {key}"),
                "is not a known key".to_owned(),
            ));
        } else if let Some(text) = plain(&value) {
            values.insert(name, text);
        } else {
            let text = "is neither a text, a number, true or false, nor a list of texts".to_owned();
            problems.push(Problem::new(format!("{file}: {key}"), text));
        }
    }
    values
}

/// A TOML value as it would stand in the environment.
fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(answer) => Some(answer.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(toml::Value::as_str).collect();
            items.map(|items| items.join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}
