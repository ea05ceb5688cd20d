//! The reference of all variables, made from their declarations: `.env.example` and `docs/CONFIGURATION.md`.

use std::fmt::Write as _;

use super::{Fallback, VARIABLES, Variable};

/// The text of `.env.example`: every variable, commented out, at its default.
pub fn env_example() -> String {
    let mut text = String::from(
        "# Every variable of the ChatterBox server at its default. Copy this file to .env, which is read from the\n\
         # working directory in development, and uncomment what you change.\n\
         # Generated from the declarations in chatterbox-server/src/config/variables.rs by `./test fix`.\n",
    );
    for (group, variables) in groups() {
        let _ = write!(text, "\n# --- {group} ---\n");
        for variable in variables {
            text.push('\n');
            for line in variable.doc {
                let _ = writeln!(text, "#{line}");
            }
            let _ = writeln!(text, "# Accepts {}.", (variable.accepts)());
            if variable.default.development != variable.default.production {
                let _ = writeln!(text, "# In production: {}", variable.default.production);
            }
            if let Some(condition) = variable.default.once {
                let _ = writeln!(text, "# The default counts once {condition}.");
            }
            let _ = writeln!(text, "#{}={}", variable.name, variable.default.development);
        }
    }
    text
}

/// The text of `docs/CONFIGURATION.md`.
pub fn markdown() -> String {
    let mut text = String::from(INTRODUCTION);
    for (group, variables) in groups() {
        let _ = write!(text, "\n## {group}\n");
        for variable in variables {
            let _ = write!(text, "\n### `{}`\n\n", variable.name);
            for line in variable.doc {
                let _ = writeln!(text, "{}", line.trim_start());
            }
            let _ = write!(text, "\n- Default: {}\n", default(variable.default));
            let _ = writeln!(text, "- Accepts: {}", (variable.accepts)());
            if let Some(alias) = variable.alias {
                let _ = writeln!(text, "- Also known as `{alias}`");
            }
            match variable.flag() {
                Some(flag) => {
                    let _ = writeln!(text, "- Flag: `--{flag}`");
                }
                None => text.push_str("- Flag: none, since arguments of a process are visible to others\n"),
            }
        }
    }
    text
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Generated from the declarations in chatterbox-server/src/config/variables.rs by `./test fix`. -->

The server needs no configuration to start. Each variable below is looked for in this order; the first place that sets
it wins:

1. a flag of the command: `--port 8080`;
2. the environment: `PORT=8080`;
3. `.env` in the working directory, in development only;
4. a TOML file, with the names in lower case: `port = 8080`, lists as `rooms = [\"general\", \"tech\"]`. It is
   `chatterbox.toml` in the working directory if there is one, or the file named by `--config` or `CHATTERBOX_CONFIG`;
5. the default.

An empty value counts as not set. All problems are reported at once, one line each, and the server ends with exit code
2; secrets are never printed, nor are the passwords within addresses. A variable of a backend that this build has no
adapter for is such a problem, and so is a mix of backends that can't work: the server doesn't quietly go on without them.
Which mixes there are stands in [DEPLOYMENT.md](DEPLOYMENT.md).

`chatterbox-cli config check` prints every variable with its value and where it comes from, `chatterbox-cli config doc`
this reference beside it.
";

fn groups() -> Vec<(&'static str, Vec<&'static Variable>)> {
    let mut groups: Vec<(&str, Vec<&Variable>)> = Vec::new();
    for variable in VARIABLES {
        match groups.last_mut() {
            Some((group, variables)) if *group == variable.group => variables.push(variable),
            _ => groups.push((variable.group, vec![variable])),
        }
    }
    groups
}

fn default(fallback: Fallback) -> String {
    let show = |text: &str| {
        if text.is_empty() {
            "none".to_owned()
        } else {
            format!("`{text}`")
        }
    };
    if let Some(condition) = fallback.once {
        format!("{}, once {condition}", show(fallback.development))
    } else if fallback.development == fallback.production {
        show(fallback.development)
    } else {
        format!(
            "{} in development, {} in production",
            show(fallback.development),
            show(fallback.production)
        )
    }
}
