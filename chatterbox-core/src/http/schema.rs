//! How ids, stamps and names appear in the OpenAPI document: the types themselves know nothing of it.

use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::clock::Timestamp;
use crate::domain::entry::Seq;
use crate::ids::{ConversationId, EntryId, UserId};

fn id(example: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^[0-9a-f]{24}$"))
        .examples([example])
        .into()
}

macro_rules! id_schemas {
    ($($name:ident),*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                id("6571a2b3c4d5e6f708192a3b")
            }
        }

        impl ToSchema for $name {}
    )*};
}

id_schemas!(UserId, ConversationId, EntryId);

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .examples(["2026-01-31T12:00:00.000Z"])
            .into()
    }
}

impl ToSchema for Timestamp {}

impl PartialSchema for Seq {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0))
            .into()
    }
}

impl ToSchema for Seq {}
