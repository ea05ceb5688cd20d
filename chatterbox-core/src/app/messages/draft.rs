use std::collections::HashSet;

use super::IdList;
use crate::app::access::member_of;
use crate::app::rooms::Shape;
use crate::app::{App, Error, FieldError};
use crate::domain::entry::{ClientMessageId, MessageBody, Seq};
use crate::domain::message::{self, ATTACHMENTS_MAX, MENTIONS_MAX};
use crate::ids::{ConversationId, EntryId, UserId};

/// The users that a message addresses, as a client names them.
pub(super) type Mentions = IdList<MENTIONS_MAX>;

/// The files that a message brings.
pub(super) type Attachments = IdList<ATTACHMENTS_MAX>;

/// What somebody wants to say, as it came in.
pub(super) struct Draft<'a> {
    pub(super) content: &'a str,
    pub(super) client_message_id: Option<&'a str>,
    pub(super) attachments: &'a Attachments,
    pub(super) reply_to: Option<&'a str>,
    pub(super) mentions: &'a Mentions,
}

/// A draft that keeps the rules of form.
pub(super) struct Checked {
    pub(super) body: MessageBody,
    pub(super) key: Option<ClientMessageId>,
}

impl Draft<'_> {
    pub(super) fn check(&self) -> Result<Checked, Error> {
        let mut wrong = Vec::new();
        let mut note = |field: &str, rule: String| {
            wrong.push(FieldError {
                field: field.to_owned(),
                rule,
            });
        };
        let content = message::content(self.content)
            .map_err(|error| note("content", error.to_string()))
            .ok();
        let key = self.client_message_id.and_then(|key| {
            ClientMessageId::parse(key)
                .map_err(|error| note("clientMessageId", error.to_string()))
                .ok()
        });
        if !self.attachments.is_empty() {
            note("attachments", "unknown file".to_owned());
        }
        let Some(content) = content.filter(|_| wrong.is_empty()) else {
            return Err(Error::Validation(wrong));
        };
        let reply_to = self.reply_to.map(str::parse).transpose();
        let body = MessageBody {
            content,
            reply_to: reply_to.map_err(|_| Error::InvalidId("replyTo"))?,
            mentions: self.mentions.parse("mentions")?,
            redacted_at: None,
        };
        Ok(Checked { body, key })
    }
}

/// The message that is answered is one that its reader sees.
pub(super) async fn check_answered(
    app: &App,
    (id, shape): (ConversationId, Shape),
    sender: UserId,
    answered: EntryId,
) -> Result<(), Error> {
    let visible_above = match shape {
        Shape::Direct(..) | Shape::Room => Seq::ZERO,
        Shape::Group => {
            let access = member_of(app, id, sender).await?;
            access.member.sees_above(&access.conversation)
        }
    };
    let entry = app.stores.log.get(id, answered).await?;
    if entry.is_some_and(|entry| entry.kind.is_message() && entry.seq > visible_above) {
        Ok(())
    } else {
        Err(Error::NotFound("the message to reply to"))
    }
}

/// Only members are addressed (THREATS.md G3).
pub(super) async fn check_mentions(app: &App, id: ConversationId, mentions: &[UserId]) -> Result<(), Error> {
    if mentions.is_empty() {
        return Ok(());
    }
    let members: HashSet<UserId> = app
        .stores
        .conversations
        .members_among(id, mentions)
        .await?
        .into_iter()
        .collect();
    match mentions.iter().find(|user| !members.contains(user)) {
        None => Ok(()),
        Some(user) => Err(Error::invalid("mentions", format!("{user} is no member"))),
    }
}
