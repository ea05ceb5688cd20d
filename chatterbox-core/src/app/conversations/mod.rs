//! Direct conversations, groups, and what is common to all conversations: who is in them as what, their settings, and
//! what a member sets for themselves (S-062 to S-072, S-093 to S-095, S-137).
//!
//! Whoever changes members or settings puts a proposal into the conversation's log; its `decide` closure asks
//! [`rights`] on the members as they stand there, so no race gets around a rule. What the rows
//! say is only good for an early refusal: a conversation one is not in is not found.

mod bans;
mod invites;
mod item;
mod join;
mod leave;
mod list;
mod look;
mod members;
mod open;
mod own;
mod roles;
mod settings;

pub use bans::{BanMember, Banned, UnbanMember, Unbanned};
pub use invites::{CreateInvite, InviteCreated, InviteFound, InvitesRevoked, LookAtInvite, RevokeInvites};
pub use join::{ConversationJoined, JoinConversation};
pub use leave::{ConversationLeft, LeaveConversation, MemberRemoved, RemoveMember};
pub(super) use list::rows;
pub use list::{ConversationList, ListConversations, ListPosition, ListedKind};
pub use look::{ConversationFound, GetConversation, ListMembers, MemberList};
pub use members::{AddMembers, Added, MembersAdded, Refused};
pub use open::{CreateGroup, DirectOpened, GroupCreated, OpenDirect};
pub use own::{HiddenSet, NotificationsSaved, SetHidden, SetNotifications};
pub use roles::{GroupRole, RoleSet, SetRole};
pub use settings::{
    CloseConversation, ConversationClosed, SettingsSaved, UpdateConversation, settings_version,
};

use super::access;
use super::{App, Effect, Error, Outcome};
use crate::domain::conversation::{Conversation, Kind, Role};
use crate::domain::rights::{self, Acts, Right};
use crate::domain::standing::Standing;
use crate::ids::{ConversationId, UserId};
use crate::log::Posted;

/// Whoever manages a conversation, as what they do it besides being a member.
#[derive(Debug, Clone, Copy)]
struct Manager {
    user: UserId,
    /// They administrate the server, and this is a room.
    server_admin: bool,
}

/// The conversation for somebody who wants to manage it: a member, or in a room a server admin. For everyone else it
/// is not found.
async fn managed(app: &App, id: ConversationId, user: UserId) -> Result<(Conversation, Manager), Error> {
    let row = app.stores.conversations.get(id).await?;
    let is_room = row.as_ref().is_some_and(|row| matches!(row.kind, Kind::Room(_)));
    let server_admin = is_room && access::is_server_admin(app, user).await?;
    let conversation = match row {
        Some(row) if server_admin => row,
        Some(_) | None => access::member_of(app, id, user).await?.conversation,
    };
    Ok((conversation, Manager { user, server_admin }))
}

impl Manager {
    /// The manager's role where the conversation stands; nobody else knows that it exists. Of a room's plain members
    /// it knows nothing, and a room is no secret.
    fn acts(self, standing: &Standing) -> Result<Acts, Error> {
        match (standing.role(self.user), &standing.conversation.kind) {
            _ if self.server_admin => Ok(Acts::AsServerAdmin),
            (Some(role), _) => Ok(Acts::As(role)),
            (None, Kind::Room(_)) => Ok(Acts::As(Role::Member)),
            (None, Kind::Direct | Kind::Group) => Err(Error::NotFound("conversation")),
        }
    }

    /// Lets those through who may do it, in a conversation that is not closed.
    fn check(self, standing: &Standing, right: Right) -> Result<(), Error> {
        let acts = self.acts(standing)?;
        if !rights::may(&standing.conversation.kind, acts, right) {
            return Err(Error::Forbidden(refusal(right)));
        }
        if standing.conversation.archived {
            return Err(Error::Gone("the conversation is closed"));
        }
        Ok(())
    }
}

/// Why whoever may not do it is refused.
fn refusal(right: Right) -> &'static str {
    match right {
        Right::Configure => "only admins change the settings",
        Right::Add => "only admins add members",
        Right::Invite => "only admins make and take back invites",
        Right::RemoveMember => "only admins remove or ban members",
        Right::RemoveAdmin => "admins are removed and banned by the owner only",
        Right::RemoveOwner => "nobody removes or bans the owner",
        Right::Unban => "only admins lift bans",
        Right::Promote => "only admins change roles",
        Right::Demote => "only the owner takes the role of an admin away",
        Right::HandOver => "only the owner hands the group over",
        Right::DeleteMessages => "only admins take out messages of others",
        Right::Close => "only the owner closes it",
    }
}

/// A reply that waits until no node delivers anything more to whom the first of these entries has put out (S-068).
fn fenced<R>(reply: R, conversation: ConversationId, posted: &Posted) -> Outcome<R> {
    let outcome = Outcome::of(reply);
    match posted {
        Posted::New(entries) => match entries.first() {
            Some(entry) => outcome.with(Effect::Fence {
                conversation,
                up_to: entry.seq,
            }),
            None => outcome,
        },
        Posted::Duplicate(_) => outcome,
    }
}

/// Refuses direct conversations and rooms what only groups have.
fn group_only(conversation: &Conversation) -> Result<(), Error> {
    match conversation.kind {
        Kind::Group => Ok(()),
        Kind::Direct => Err(Error::invalid(
            "conversationId",
            "a direct conversation does not have this",
        )),
        Kind::Room(_) => Err(Error::invalid("conversationId", "a room does not have this")),
    }
}

/// Refuses direct conversations what groups and rooms have.
fn not_direct(conversation: &Conversation) -> Result<(), Error> {
    match conversation.kind {
        Kind::Group | Kind::Room(_) => Ok(()),
        Kind::Direct => group_only(conversation),
    }
}
