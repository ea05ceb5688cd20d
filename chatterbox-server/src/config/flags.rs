//! Variables as flags of a command: one for each that is no secret.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, value_parser};

use super::VARIABLES;

/// Names the TOML file.
const FILE_FLAG: &str = "config";

/// Flags for all variables, and `--config`.
pub fn flags() -> Vec<Arg> {
    let variables = VARIABLES.iter().filter_map(|variable| {
        let help = variable
            .doc
            .iter()
            .map(|line| line.trim())
            .collect::<Vec<_>>()
            .join(" ");
        let summary = help
            .split_inclusive(". ")
            .next()
            .unwrap_or(&help)
            .trim_end()
            .to_owned();
        Some(
            Arg::new(variable.name)
                .long(variable.flag()?)
                .value_name("VALUE")
                .help_heading(variable.group)
                .help(summary)
                .long_help(format!("{help} Default: {}", variable.default.development)),
        )
    });
    let file = Arg::new(FILE_FLAG)
        .long(FILE_FLAG)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("TOML file to read; chatterbox.toml in the working directory if there is one");
    variables.chain([file]).collect()
}

/// What was given: values by the name of their variable, and the TOML file.
pub fn given(matches: &ArgMatches) -> (BTreeMap<String, String>, Option<PathBuf>) {
    let mut values = BTreeMap::new();
    for variable in VARIABLES.iter().filter(|variable| variable.flag().is_some()) {
        if let Some(value) = matches.get_one::<String>(variable.name) {
            values.insert(variable.name.to_owned(), value.clone());
        }
    }
    (values, matches.get_one::<PathBuf>(FILE_FLAG).cloned())
}
