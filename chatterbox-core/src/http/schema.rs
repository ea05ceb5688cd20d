//! How ids, stamps and texts appear in the OpenAPI document: the types themselves know nothing of it, and every number
//! comes from [`limits`](crate::domain::limits).

use std::ops::RangeInclusive;

use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::clock::Timestamp;
use crate::domain::entry::Seq;
use crate::domain::limits;
use crate::ids::{ConversationId, EntryId, SessionId, UserId};

macro_rules! schemas {
    ($($name:ident => $schema:expr,)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn id() -> ObjectBuilder {
    string()
        .pattern(Some("^[0-9a-f]{24}$"))
        .examples(["6571a2b3c4d5e6f708192a3b"])
}

fn text(length: &RangeInclusive<usize>) -> ObjectBuilder {
    string()
        .min_length(Some(*length.start()))
        .max_length(Some(*length.end()))
}

schemas! {
    UserId => id(),
    ConversationId => id(),
    EntryId => id(),
    SessionId => id(),
    Timestamp => string()
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .examples(["2026-01-31T12:00:00.000Z"]),
    Seq => ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)),
    UsernameText => text(&limits::USERNAME_CHARS)
        .description(Some("Letters and digits of one script, with `_`, `-` and `.` between them.")),
    EmailText => text(&limits::EMAIL_CHARS)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Email))),
    PasswordText => text(&limits::PASSWORD_CHARS)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password))),
    PasswordAttempt => string().max_length(Some(*limits::PASSWORD_CHARS.end()))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password))),
    DisplayNameText => text(&limits::DISPLAY_NAME_CHARS),
    UserQueryText => text(&limits::USER_QUERY_CHARS),
    RoomNameText => text(&limits::ROOM_NAME_CHARS).pattern(Some("^[a-z0-9][a-z0-9-]{1,31}$")),
    TitleText => text(&limits::TITLE_CHARS),
    RoomDescriptionText => string().max_length(Some(limits::ROOM_DESCRIPTION_CHARS_MAX)),
    ContentText => text(&(1..=crate::domain::message::CONTENT_CHARS_MAX)),
    ClientMessageIdText => text(&(1..=64)).description(Some("1 to 64 bytes without control characters.")),
}

/// What a message says.
pub(super) struct ContentText;
/// A client's own key of a message.
pub(super) struct ClientMessageIdText;
/// A username to register.
pub(super) struct UsernameText;
/// An email address.
pub(super) struct EmailText;
/// A password to set.
pub(super) struct PasswordText;
/// A password to try.
pub(super) struct PasswordAttempt;
/// A name to show.
pub(super) struct DisplayNameText;
/// The beginning of a name to look for.
pub(super) struct UserQueryText;
/// A room's name.
pub(super) struct RoomNameText;
/// A group's title.
pub(super) struct TitleText;
/// What a conversation is about.
pub(super) struct RoomDescriptionText;
