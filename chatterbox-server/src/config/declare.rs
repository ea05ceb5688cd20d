//! What a variable is, and the macro that turns one declaration into a field of [`Config`](super::Config), a row of
//! the reference and the code that reads it.

/// One variable, as the reference shows it.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name in the environment; in the TOML file the same in lower case, as a flag with dashes.
    pub name: &'static str,
    /// A second name it is found under.
    pub alias: Option<&'static str>,
    /// Heading of the reference it stands under.
    pub group: &'static str,
    /// Its value when nothing sets it.
    pub default: Fallback,
    /// What it does: the lines of its doc comment.
    pub doc: &'static [&'static str],
    /// What it accepts, as a phrase behind "is not".
    pub accepts: fn() -> String,
    /// Never shown, and no flag: arguments of a process can be read by everyone on the machine.
    pub secret: bool,
}

impl Variable {
    /// The flag that sets it, without the leading dashes; none for secrets.
    pub fn flag(&self) -> Option<String> {
        (!self.secret).then(|| self.name.to_lowercase().replace('_', "-"))
    }

    /// Its key in the TOML file.
    pub fn key(&self) -> String {
        self.name.to_lowercase()
    }

    /// Its name and its alias.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.alias)
    }
}

/// The value of a variable that nothing sets. Empty means: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fallback {
    /// In development.
    pub development: &'static str,
    /// In production.
    pub production: &'static str,
    /// When it counts, as a phrase behind "once"; `None`: always.
    pub once: Option<&'static str>,
}

/// The same everywhere.
pub(super) const fn always(text: &'static str) -> Fallback {
    depends(text, text)
}

/// One for development, one for production.
pub(super) const fn depends(development: &'static str, production: &'static str) -> Fallback {
    Fallback {
        development,
        production,
        once: None,
    }
}

/// Of a backend that is not there unless something asks for it: read as none, and filled in by
/// [`backends`](super::backends).
pub(super) const fn once(condition: &'static str, text: &'static str) -> Fallback {
    Fallback {
        once: Some(condition),
        ..always(text)
    }
}

/// Declares [`Config`](super::Config) and [`VARIABLES`](super::VARIABLES): heading, then `/// what it does`,
/// `field: Type = "NAME" (or "ALIAS")?, default, parser;`.
macro_rules! variables {
    ($(
        $group:literal {$(
            $(#[doc = $doc:literal])+
            $field:ident: $type:ty = $name:literal $(or $alias:literal)?, $default:expr, $parser:expr;
        )+}
    )+) => {
        /// Everything the server can be told, checked. Fields are documented by the text of docs/CONFIGURATION.md.
        #[derive(Debug, Clone)]
        pub struct Config {$($(
            $(#[doc = $doc])+
            pub $field: $type,
        )+)+}

        /// All variables, in the order of the reference.
        pub const VARIABLES: &[Variable] = &[$($(
            Variable {
                name: $name,
                alias: variables!(@alias $($alias)?),
                group: $group,
                default: $default,
                doc: &[$($doc),+],
                accepts: || $parser.accepts(),
                secret: secret(&$parser),
            },
        )+)+];

        /// What was read: `None` where there is a problem, which is noted.
        #[derive(Debug)]
        pub(super) struct Found {$($(
            pub(super) $field: Option<$type>,
        )+)+}

        impl Found {
            /// Reads every variable, noting every problem.
            pub(super) fn read(reading: &mut Reading<'_>) -> Found {
                Found { $($( $field: reading.value($name, &$parser), )+)+ }
            }

            /// The configuration, if there was no problem with any.
            pub(super) fn complete(self) -> Option<Config> {
                Some(Config { $($( $field: self.$field?, )+)+ })
            }
        }
    };
    (@alias) => { None };
    (@alias $alias:literal) => { Some($alias) };
}
pub(super) use variables;
