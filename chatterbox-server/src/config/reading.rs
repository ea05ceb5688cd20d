//! Reading variables out of their sources, noting where each came from and everything that is wrong.

use std::fmt;

use super::declare::Variable;
use super::parse::Parser;
use super::sources::{Layer, Origin};
use super::variables::{Environment, VARIABLES};

/// Something that keeps the server from starting. Printed as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The variable, file or key.
    pub name: String,
    /// What is wrong with it, with the offending value unless that is secret.
    pub text: String,
}

impl Problem {
    pub(super) fn new(name: impl Into<String>, text: String) -> Problem {
        let name = name.into();
        Problem { name, text }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One line, whatever the value holds.
        let text: String = self
            .text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        write!(f, "{} {text}", self.name)
    }
}

/// A variable, its value as it may be shown, and who set it.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The variable.
    pub variable: &'static Variable,
    /// Its text; of a secret only whether it is there.
    pub shown: String,
    /// Who set it.
    pub origin: Origin,
}

/// The state of reading.
pub(super) struct Reading<'a> {
    pub(super) layers: &'a [Layer],
    pub(super) environment: Environment,
    pub(super) settings: Vec<Setting>,
    pub(super) problems: Vec<Problem>,
}

impl Reading<'_> {
    /// The value of a variable; `None` if there is a problem with it, which is noted.
    pub(super) fn value<P: Parser>(&mut self, name: &str, parser: &P) -> Option<P::Value> {
        let variable = VARIABLES
            .iter()
            .find(|variable| variable.name == name)
            .expect("the table and the reading code come from one declaration");
        let (text, origin) = self.look_up(variable);
        let value = parser.parse(&text);
        if value.is_none() {
            let shown = if variable.secret {
                "its value".to_owned()
            } else {
                format!("{text:?}")
            };
            let text = format!("is {shown} ({origin}), which is not {}", parser.accepts());
            self.problems.push(Problem::new(variable.name, text));
        }
        let shown = if text.is_empty() {
            String::new()
        } else {
            parser
                .shown(&text)
                .unwrap_or_else(|| "(set, not shown)".to_owned())
        };
        self.settings.push(Setting {
            variable,
            shown,
            origin,
        });
        value
    }

    fn look_up(&mut self, variable: &Variable) -> (String, Origin) {
        for layer in self.layers {
            let given: Vec<&String> = variable
                .names()
                .filter_map(|name| layer.values.get(name))
                .filter(|text| !text.is_empty())
                .collect();
            if let [first, second] = given[..]
                && first != second
            {
                let alias = variable.alias.unwrap_or_default();
                let text = format!("and {alias} contradict each other ({})", layer.origin);
                self.problems.push(Problem::new(variable.name, text));
            }
            if let Some(text) = given.first() {
                return ((*text).clone(), layer.origin.clone());
            }
        }
        let text = match (variable.default.once, self.environment) {
            (Some(_), _) => "",
            (None, Environment::Development) => variable.default.development,
            (None, Environment::Production) => variable.default.production,
        };
        (text.to_owned(), Origin::Default)
    }
}
