//! A command, taken apart: what the extension is given, and what belongs to sessions, concerns and transport.

use std::time::Duration;

use bson::raw::{CString, RawArrayBuf, RawBsonRef};
use bson::{RawDocument, RawDocumentBuf};

use crate::failure::{Code, Failure};
use crate::wire::Message;

/// A command of a client.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Command {
    /// Its name, in lower case: old and new drivers differ in it.
    pub(crate) name: String,
    /// The collection, where the command names one.
    pub(crate) collection: String,
    /// The database.
    pub(crate) db: String,
    /// The command without what stands below, sequences folded in.
    pub(crate) spec: RawDocumentBuf,
    /// Documents, updates or deletes in it.
    pub(crate) statements: usize,
    /// Session and transaction.
    pub(crate) session: Session,
    /// `readConcern.level`.
    pub(crate) read_concern: Option<String>,
    /// `writeConcern`.
    pub(crate) write_concern: Option<WriteConcern>,
    /// `$readPreference.mode`.
    pub(crate) read_preference: Option<String>,
    /// `maxTimeMS`.
    pub(crate) time_max: Option<Duration>,
}

/// Which session a command belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Session {
    /// The session's id.
    pub(crate) lsid: Option<Vec<u8>>,
    /// Names a transaction or a write that may be retried.
    pub(crate) txn_number: Option<i64>,
    /// Whether the command is part of a transaction (`autocommit: false`).
    pub(crate) in_transaction: bool,
    /// Whether it is the first of it.
    pub(crate) starts: bool,
}

/// What a write waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WriteConcern {
    /// A number or a name, such as `majority`.
    pub(crate) w: Option<String>,
    /// Whether it has to be in the journal.
    pub(crate) journal: Option<bool>,
}

const READ_CONCERNS: [&str; 5] = ["local", "available", "majority", "linearizable", "snapshot"];

impl Command {
    /// Takes a message apart.
    pub(crate) fn parse(message: Message) -> Result<Command, Failure> {
        let mut command = Command {
            name: String::new(),
            collection: String::new(),
            db: "admin".to_owned(),
            spec: RawDocumentBuf::new(),
            statements: 0,
            session: Session::default(),
            read_concern: None,
            write_concern: None,
            read_preference: None,
            time_max: None,
        };
        for element in message.body.iter_elements() {
            let element = element.map_err(malformed)?;
            let value = element.value().map_err(malformed)?;
            let key = element.key();
            if command.name.is_empty() {
                command.name = key.as_str().to_ascii_lowercase();
                value
                    .as_str()
                    .unwrap_or_default()
                    .clone_into(&mut command.collection);
                command.spec.append(key, value);
            } else if !command.takes(key.as_str(), value)? {
                command.spec.append(key, value);
            }
        }
        if command.name.is_empty() {
            return Err(Failure::new(Code::FailedToParse, "an empty command"));
        }
        for (name, documents) in message.sequences {
            command.statements += documents.len();
            let mut array = RawArrayBuf::new();
            for document in documents {
                array.push(document);
            }
            let name = CString::try_from(name).map_err(malformed)?;
            command.spec.append(name, array);
        }
        command.check()?;
        Ok(command)
    }

    /// Keeps an element that is not for the extension.
    fn takes(&mut self, key: &str, value: RawBsonRef<'_>) -> Result<bool, Failure> {
        match key {
            "$db" => text_of(value, "$db")?.clone_into(&mut self.db),
            "lsid" => {
                let id = document_of(value, "lsid")?.get_binary("id").map_err(malformed)?;
                self.session.lsid = Some(id.bytes.to_vec());
            }
            "txnNumber" => {
                let number = value.as_i64();
                self.session.txn_number =
                    Some(number.ok_or_else(|| Failure::new(Code::TypeMismatch, "txnNumber is no long"))?);
            }
            "autocommit" => self.session.in_transaction = value.as_bool() == Some(false),
            "startTransaction" => self.session.starts = value.as_bool() == Some(true),
            "readConcern" => {
                let level = document_of(value, "readConcern")?
                    .get("level")
                    .map_err(malformed)?;
                self.read_concern = level
                    .map(|level| text_of(level, "level").map(str::to_owned))
                    .transpose()?;
            }
            "writeConcern" => {
                self.write_concern = Some(WriteConcern::parse(document_of(value, "writeConcern")?)?);
            }
            "$readPreference" => {
                let mode = document_of(value, "$readPreference")?
                    .get_str("mode")
                    .map_err(malformed)?;
                self.read_preference = Some(mode.to_owned());
            }
            "maxTimeMS" => {
                let ms = whole_of(value).and_then(|ms| u64::try_from(ms).ok());
                let ms = ms.ok_or_else(|| Failure::new(Code::BadValue, "maxTimeMS is no positive number"))?;
                self.time_max = (ms > 0).then(|| Duration::from_millis(ms));
            }
            "$clusterTime" | "apiVersion" | "apiStrict" | "apiDeprecationErrors" => {}
            "documents" | "updates" | "deletes" => {
                if let RawBsonRef::Array(array) = value {
                    self.statements += array.into_iter().count();
                }
                return Ok(false);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What a MongoDB server refuses of sessions and concerns.
    fn check(&self) -> Result<(), Failure> {
        let invalid = |message: &str| Err(Failure::new(Code::InvalidOptions, message));
        if let Some(level) = &self.read_concern {
            if !READ_CONCERNS.contains(&level.as_str()) {
                return Err(Failure::new(
                    Code::FailedToParse,
                    format!("unknown read concern {level}"),
                ));
            }
            if self.session.in_transaction && !self.session.starts {
                return invalid("only the first command of a transaction has a read concern");
            }
            if !self.session.in_transaction && self.is_write() {
                return invalid("a write has no read concern");
            }
        }
        if self.write_concern.is_some() {
            let ends = matches!(self.name.as_str(), "committransaction" | "aborttransaction");
            if self.session.in_transaction && !ends {
                return invalid("a write concern in a transaction belongs to its end");
            }
            if matches!(self.name.as_str(), "find" | "count" | "distinct" | "getmore") {
                return invalid("a read has no write concern");
            }
        }
        if self.session.txn_number.is_some() && self.session.lsid.is_none() {
            return invalid("a txnNumber belongs to a session");
        }
        if self.session.in_transaction && self.session.txn_number.is_none() {
            return invalid("a transaction has a txnNumber");
        }
        Ok(())
    }

    /// Whether it writes to one collection, which drivers may retry.
    pub(crate) fn is_write(&self) -> bool {
        matches!(
            self.name.as_str(),
            "insert" | "update" | "delete" | "findandmodify"
        )
    }
}

impl WriteConcern {
    fn parse(document: &RawDocument) -> Result<WriteConcern, Failure> {
        let mut concern = WriteConcern::default();
        for element in document {
            let (key, value) = element.map_err(malformed)?;
            match (key.as_str(), value) {
                ("w", RawBsonRef::String("majority")) => concern.w = Some("majority".to_owned()),
                ("w", RawBsonRef::String(other)) => {
                    return Err(Failure::new(
                        Code::UnknownWriteConcern,
                        format!("no write concern is named {other}"),
                    ));
                }
                ("w", number) => {
                    let number = whole_of(number).filter(|number| (0..=50).contains(number));
                    let number =
                        number.ok_or_else(|| Failure::new(Code::FailedToParse, "w is from 0 to 50"))?;
                    if number > 1 {
                        return Err(Failure::new(
                            Code::UnsatisfiableWriteConcern,
                            "there is one server",
                        ));
                    }
                    concern.w = Some(number.to_string());
                }
                ("j", value) => concern.journal = value.as_bool(),
                ("wtimeout" | "provenance" | "fsync", _) => {}
                (other, _) => {
                    return Err(Failure::new(
                        Code::FailedToParse,
                        format!("a write concern has no {other}"),
                    ));
                }
            }
        }
        Ok(concern)
    }
}

/// A whole number in any of the forms that drivers write.
pub(crate) fn whole_of(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => Some(number),
        #[expect(clippy::cast_possible_truncation, reason = "compared with what it came from")]
        RawBsonRef::Double(number) => Some(number as i64).filter(|whole| {
            #[expect(clippy::cast_precision_loss, reason = "what is lost differs from the number")]
            let back = *whole as f64;
            (back - number).abs() < f64::EPSILON
        }),
        _ => None,
    }
}

fn text_of<'a>(value: RawBsonRef<'a>, name: &str) -> Result<&'a str, Failure> {
    value
        .as_str()
        .ok_or_else(|| Failure::new(Code::TypeMismatch, format!("{name} is no text")))
}

fn document_of<'a>(value: RawBsonRef<'a>, name: &str) -> Result<&'a RawDocument, Failure> {
    value
        .as_document()
        .ok_or_else(|| Failure::new(Code::TypeMismatch, format!("{name} is no document")))
}

fn malformed(error: impl std::fmt::Display) -> Failure {
    Failure::new(Code::InvalidBson, error.to_string())
}

#[cfg(test)]
mod tests {
    use bson::spec::BinarySubtype;
    use bson::{Binary, rawdoc};

    use super::*;
    use crate::wire::Form;

    fn parse(body: RawDocumentBuf) -> Result<Command, Failure> {
        Command::parse(Message {
            id: 1,
            silent: false,
            form: Form::Message,
            body,
            sequences: vec![(
                "documents".to_owned(),
                vec![rawdoc! {"_id": 1}, rawdoc! {"_id": 2}],
            )],
        })
    }

    fn lsid() -> RawDocumentBuf {
        let id = Binary {
            subtype: BinarySubtype::Uuid,
            bytes: vec![7; 16],
        };
        rawdoc! {"id": id}
    }

    #[test]
    fn the_extension_gets_the_command_without_its_wrapping() {
        let command = parse(rawdoc! {
            "insert": "c", "ordered": true, "$db": "d", "lsid": lsid(), "txnNumber": 3_i64,
            "writeConcern": {"w": "majority", "j": true}, "maxTimeMS": 500,
        })
        .unwrap();
        assert_eq!(
            command.spec,
            rawdoc! {"insert": "c", "ordered": true, "documents": [{"_id": 1}, {"_id": 2}]}
        );
        assert_eq!(
            (
                command.db.as_str(),
                command.collection.as_str(),
                command.statements
            ),
            ("d", "c", 2)
        );
        assert_eq!(command.session.lsid, Some(vec![7; 16]));
        assert_eq!(command.session.txn_number, Some(3));
        assert_eq!(command.write_concern.unwrap().w.unwrap(), "majority");
        assert_eq!(command.time_max, Some(Duration::from_millis(500)));
    }

    #[test]
    fn concerns_are_held_against_what_a_server_allows() {
        for (body, expected) in [
            (rawdoc! {"find": "c", "readConcern": {"level": "majority"}}, None),
            (rawdoc! {"find": "c", "readConcern": {}}, None),
            (
                rawdoc! {"find": "c", "readConcern": {"level": "mostly"}},
                Some(Code::FailedToParse),
            ),
            (
                rawdoc! {"find": "c", "writeConcern": {"w": 1}},
                Some(Code::InvalidOptions),
            ),
            (
                rawdoc! {"insert": "c", "readConcern": {"level": "local"}},
                Some(Code::InvalidOptions),
            ),
            (rawdoc! {"insert": "c", "writeConcern": {"w": 1}}, None),
            (rawdoc! {"insert": "c", "writeConcern": {"w": 1.0}}, None),
            (
                rawdoc! {"insert": "c", "writeConcern": {"w": 2}},
                Some(Code::UnsatisfiableWriteConcern),
            ),
            (
                rawdoc! {"insert": "c", "writeConcern": {"w": "all"}},
                Some(Code::UnknownWriteConcern),
            ),
            (
                rawdoc! {"insert": "c", "writeConcern": {"w": -1}},
                Some(Code::FailedToParse),
            ),
            (
                rawdoc! {"insert": "c", "txnNumber": 1_i64},
                Some(Code::InvalidOptions),
            ),
            (
                rawdoc! {"insert": "c", "txnNumber": "1", "lsid": lsid()},
                Some(Code::TypeMismatch),
            ),
            (rawdoc! {"insert": "c", "lsid": 1}, Some(Code::TypeMismatch)),
            (rawdoc! {}, Some(Code::FailedToParse)),
        ] {
            let text = format!("{body:?}");
            assert_eq!(parse(body).err().map(|failure| failure.code), expected, "{text}");
        }
    }

    #[test]
    fn malformed_elements_are_refused() {
        let good = rawdoc! {"insert": "c", "lsid": lsid(), "writeConcern": {"w": 1}, "x": [1, "zwei"]};
        for at in 4..good.as_bytes().len() - 1 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = good.as_bytes().to_vec();
                bytes[at] = value;
                if let Ok(body) = RawDocumentBuf::from_bytes(bytes) {
                    let _either = parse(body);
                }
            }
        }
    }
}
