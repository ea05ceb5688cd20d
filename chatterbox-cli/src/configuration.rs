//! The configuration as this process finds it.

use std::fmt::Write as _;

use chatterbox_server::config::{Loaded, Setting, reference};
use serde_json::{Value, json};

use crate::arguments::Configuration;
use crate::output::{Failure, Output, print};

pub(crate) fn run(what: &Configuration, loaded: &Loaded, output: Output) -> Result<(), Failure> {
    let settings: Vec<Value> = loaded.settings.iter().map(view).collect();
    match what {
        Configuration::Check => {
            if output.is_json() {
                let lines = |problems: &[_]| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
                print(&format!(
                    "{:#}\n",
                    json!({
                        "settings": settings,
                        "problems": lines(&loaded.problems),
                        "warnings": lines(&loaded.warnings),
                    })
                ))?;
            } else {
                output.list(&settings, &["name", "value", "origin"])?;
                for warning in &loaded.warnings {
                    print(&format!("warning: {warning}\n"))?;
                }
            }
            if loaded.problems.is_empty() {
                Ok(())
            } else {
                Err(Failure::Configuration(loaded.problems.clone()))
            }
        }
        Configuration::Doc => {
            let mut text = reference::markdown();
            text.push_str("\n## As found here\n\n");
            for setting in &settings {
                let field = |name: &str| setting[name].as_str().unwrap_or_default().to_owned();
                let _ = writeln!(
                    text,
                    "- `{}` = `{}` ({})",
                    field("name"),
                    field("value"),
                    field("origin")
                );
            }
            print(&text)
        }
    }
}

fn view(setting: &Setting) -> Value {
    json!({
        "name": setting.variable.name,
        "value": setting.shown,
        "origin": setting.origin.to_string(),
    })
}
