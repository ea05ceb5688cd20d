//! Configuration: every variable declared once, read from several sources, checked as a whole.
//!
//! ```text
//! flags ▸ environment ▸ .env (development) ▸ chatterbox.toml ▸ defaults      the first that sets a variable wins
//!    └───────────┴──────────────┴─────────────────┴───────────────┴──▶ Reading ──▶ Config, or every problem at once
//! ```
//!
//! * `variables.rs` is the one declaration: fields of [`Config`], defaults, bounds, and the texts from which
//!   `.env.example` and `docs/CONFIGURATION.md` are made ([`mod@reference`]).
//! * `backends.rs` says which backends the variables ask for together, and which mixes can't work.
//! * An empty value counts as not set, as compose files write it.
//! * Secrets have no flag, since everyone on a machine can read a process's arguments, and are never shown.

mod address;
mod backends;
mod declare;
mod flags;
mod later;
mod parse;
mod reading;
pub mod reference;
mod secret;
mod sources;
mod variables;

use std::path::Path;

use chatterbox_core::domain::secret::Secret;

pub use backends::{Files, S3, Store, StoreKind};
pub use declare::{Fallback, Variable};
pub use flags::{flags, given};
pub use parse::{Host, Rate};
pub use reading::{Problem, Setting};
pub use sources::{Inputs, Origin};
pub use variables::{Config, Environment, LogFormat, VARIABLES};

use parse::{List, Optional, Parser, SecretText};
use reading::Reading;
use sources::Layer;
use variables::Found;

/// What reading the configuration came to.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration, if there is no problem.
    pub config: Option<Config>,
    /// Every variable with its value and origin, for `config check`.
    pub settings: Vec<Setting>,
    /// All that keeps the server from starting.
    pub problems: Vec<Problem>,
    /// What is probably a mistake, but harmless.
    pub warnings: Vec<Problem>,
}

/// Reads and checks the configuration. Touches nothing but the files it reads.
pub fn load(inputs: &Inputs) -> Loaded {
    let mut problems = Vec::new();
    let mut layers = sources::layers(inputs, &mut problems);
    let environment = environment_of(&layers);
    if environment == Environment::Development
        && let Some(dot_env) = sources::dot_env(&inputs.directory, &mut problems)
    {
        // Behind flags and the environment, before the file.
        layers.insert(2, dot_env);
    }

    let mut reading = Reading {
        layers: &layers,
        environment,
        settings: Vec::new(),
        problems,
    };
    let found = Found::read(&mut reading);
    let Reading {
        mut settings,
        mut problems,
        ..
    } = reading;

    problems.extend(backends::problems(&found, &settings));
    let config = found.complete();
    let mut warnings = Vec::new();
    if let Some(config) = &config {
        warnings.extend(backends::warnings(config, &settings));
        backends::show(config, &mut settings);
    }
    unsupported(&layers, &mut problems);
    unknown(&layers, &mut warnings);
    weak_secrets(&layers, environment, &mut problems, &mut warnings);
    Loaded {
        config: config.filter(|_| problems.is_empty()),
        settings,
        problems,
        warnings,
    }
}

impl Config {
    /// The secret that signs tokens: the given one, or in development the one kept in the data directory, which
    /// must be locked by the caller. The second value says whether it was taken from there.
    pub fn signing_secret(&self) -> std::io::Result<(Secret, Option<Origin>)> {
        if let Some(secret) = &self.jwt_secret {
            return Ok((secret.clone(), None));
        }
        let path = generated_secret_path(&self.data_dir);
        let secret = secret::read_or_make(&path).map_err(|error| {
            std::io::Error::new(error.kind(), format!("the secret in {}: {error}", path.display()))
        })?;
        Ok((secret, Some(Origin::Generated(path))))
    }
}

fn generated_secret_path(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("jwt-secret")
}

/// Needed before the rest is read, since defaults depend on it; a malformed value is reported when it is read again.
fn environment_of(layers: &[Layer]) -> Environment {
    let set = |layer: &Layer| {
        let name = ["NODE_ENV", "CHATTERBOX_ENV"]
            .iter()
            .find_map(|name| layer.values.get(*name))?;
        Some(name.clone()).filter(|text| !text.is_empty())
    };
    let text = layers.iter().find_map(set);
    text.and_then(|text| variables::ENVIRONMENTS.parse(&text))
        .unwrap_or(Environment::Development)
}

fn unsupported(layers: &[Layer], problems: &mut Vec<Problem>) {
    for layer in layers {
        for (name, value) in layer.values.iter().filter(|(_, value)| !value.is_empty()) {
            if let Some(text) = later::unsupported(name, value) {
                problems.push(Problem::new(name, format!("{text} ({})", layer.origin)));
            }
        }
    }
}

fn unknown(layers: &[Layer], warnings: &mut Vec<Problem>) {
    let known = |name: &str| {
        name == sources::FILE_VARIABLE
            || VARIABLES
                .iter()
                .any(|variable| variable.names().any(|one| one == name))
    };
    for layer in layers {
        for name in layer.values.keys() {
            if later::looks_like_ours(name) && !known(name) {
                let text = format!("is not a variable of this server ({}); a typo?", layer.origin);
                warnings.push(Problem::new(name, text));
            }
        }
    }
}

/// S-041: refused in production, said in development. Reads the secrets by themselves, so that weak ones are reported
/// beside whatever else is wrong.
fn weak_secrets(
    layers: &[Layer],
    environment: Environment,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) {
    let mut reading = Reading {
        layers,
        environment,
        settings: Vec::new(),
        problems: Vec::new(),
    };
    let current = reading.value("JWT_SECRET", &Optional(SecretText)).flatten();
    let previous = reading
        .value("JWT_SECRET_PREVIOUS", &List(SecretText))
        .unwrap_or_default();
    let production = environment == Environment::Production;
    if production && current.is_none() {
        let text = "is not set; production needs one (openssl rand -base64 48)";
        problems.push(Problem::new("JWT_SECRET", text.to_owned()));
    }
    let named = |name| move |secret| (name, secret);
    let previous = previous.iter().map(named("JWT_SECRET_PREVIOUS"));
    for (name, secret) in current.iter().map(named("JWT_SECRET")).chain(previous) {
        if let Some(weakness) = secret::weakness(secret) {
            let place = if production {
                &mut *problems
            } else {
                &mut *warnings
            };
            place.push(Problem::new(name, weakness));
        }
    }
}

#[cfg(test)]
mod tests;
