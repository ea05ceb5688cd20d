//! From arguments to types: [`FromArgs`].

use serde::de::DeserializeOwned;

use super::args::{Args, Value};
use super::resolve;

/// Why arguments were not what the handler expects.
#[derive(Debug, thiserror::Error)]
#[error("argument {index} is not what was expected: {source}")]
pub struct ArgsError {
    /// Which one, from 0.
    pub index: usize,
    /// What was wrong with it.
    pub source: serde_json::Error,
}

/// What a handler can take its arguments as.
///
/// Implemented for tuples of up to eight elements, each a [`Value`] or anything that serde deserializes, for [`Args`]
/// itself, and for `Result<_, ArgsError>`, for handlers that answer wrong arguments themselves. A missing argument is
/// `null`.
pub trait FromArgs: Sized {
    /// Converts.
    fn from_args(args: &Args) -> Result<Self, ArgsError>;
}

/// One element of a tuple of arguments. Implemented for [`Value`] and by serde.
pub trait FromArg: Sized {
    /// Converts the argument at `index`.
    fn from_arg(args: &Args, index: usize) -> Result<Self, ArgsError>;
}

impl<T: DeserializeOwned> FromArg for T {
    fn from_arg(args: &Args, index: usize) -> Result<T, ArgsError> {
        resolve::from_json(args.json(index).unwrap_or("null"), args.attachments())
            .map_err(|source| ArgsError { index, source })
    }
}

impl FromArg for Value {
    fn from_arg(args: &Args, index: usize) -> Result<Value, ArgsError> {
        args.get(index).ok_or_else(|| ArgsError {
            index,
            source: serde::de::Error::custom("it is missing"),
        })
    }
}

impl FromArgs for Args {
    fn from_args(args: &Args) -> Result<Args, ArgsError> {
        Ok(args.clone())
    }
}

impl FromArgs for () {
    fn from_args(_args: &Args) -> Result<(), ArgsError> {
        Ok(())
    }
}

impl<A: FromArgs> FromArgs for Result<A, ArgsError> {
    fn from_args(args: &Args) -> Result<Self, ArgsError> {
        Ok(A::from_args(args))
    }
}

macro_rules! tuples {
    ($($($name:ident $index:literal),+;)+) => {$(
        impl<$($name: FromArg),+> FromArgs for ($($name,)+) {
            fn from_args(args: &Args) -> Result<Self, ArgsError> {
                Ok(($($name::from_arg(args, $index)?,)+))
            }
        }
    )+};
}

tuples! {
    A 0;
    A 0, B 1;
    A 0, B 1, C 2;
    A 0, B 1, C 2, D 3;
    A 0, B 1, C 2, D 3, E 4;
    A 0, B 1, C 2, D 3, E 4, F 5;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_arguments_are_null_and_surplus_ones_ignored() {
        let args: Args = r#"["a",2]"#.parse().unwrap();
        assert_eq!(
            args.parse::<(String, u8, Option<u8>)>().unwrap(),
            ("a".to_owned(), 2, None)
        );
        assert_eq!(args.parse::<(String,)>().unwrap(), ("a".to_owned(),));
        assert_eq!(args.parse::<(String, u8, u8)>().unwrap_err().index, 2);
        assert_eq!(args.parse::<(u8,)>().unwrap_err().index, 0);
        assert!(args.parse::<Result<(u8,), ArgsError>>().unwrap().is_err());
        assert_eq!(args.parse::<(Value, Value)>().unwrap().1.json(), "2");
    }

    /// PROTOCOL §8: what a typed parser can't take costs that event only.
    #[test]
    fn numbers_beyond_a_double_fail_only_where_they_are_parsed() {
        let args: Args = "[1e400,12345678901234567890123]".parse().unwrap();
        assert!(args.parse::<(f64,)>().is_err());
        assert_eq!(args.json(0), Some("1e400"));
        assert_eq!(args.json(1), Some("12345678901234567890123"));
    }
}
