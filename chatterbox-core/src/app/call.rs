//! The command language: HTTP request, socket event and CLI subcommand each become one [`Call`].

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::{
    App, Error, Outcome, Toll, accounts, conversations, digest, jobs, looking, messages, people, presence,
    rooms, typing,
};
pub use crate::auth::Principal;
use crate::views;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Nobody we know.
    Nobody,
    /// A user with a living session.
    User(Principal),
    /// Somebody at the server itself: the CLI, the start-up.
    Operator,
}

impl Actor {
    /// The user, or the refusal for everyone else.
    pub fn user(&self) -> Result<Principal, Error> {
        match self {
            Actor::User(principal) => Ok(*principal),
            Actor::Nobody | Actor::Operator => Err(Error::Unauthenticated("log in first")),
        }
    }

    /// Lets only the operator through.
    pub fn operator(&self) -> Result<(), Error> {
        match self {
            Actor::Operator => Ok(()),
            Actor::Nobody | Actor::User(_) => Err(Error::Forbidden("only the operator may do this")),
        }
    }
}

/// One thing somebody wants.
#[derive(Debug)]
pub struct Call {
    /// Who.
    pub actor: Actor,
    /// From which address, where there is one.
    pub address: Option<IpAddr>,
    /// What.
    pub command: Command,
    /// Lets the caller's next call begin; see [`Turn`].
    pub turn: Turn,
    /// Set by the rate limit for a command that may be a retry of one already done: it is answered if it is, and
    /// refused with this otherwise (S-088: a retry is looked up before limits may refuse it).
    pub denied: Option<Error>,
    /// What a command of [`Cost::Change`] pays once it knows that there is something to change.
    pub toll: Toll,
}

impl Call {
    /// A call of `actor`.
    pub fn new(actor: Actor, command: impl Into<Command>) -> Call {
        Call {
            actor,
            address: None,
            command: command.into(),
            turn: Turn::default(),
            denied: None,
            toll: Toll::default(),
        }
    }

    /// With the address it comes from.
    pub fn from_address(mut self, address: Option<IpAddr>) -> Call {
        self.address = address;
        self
    }
}

/// The order of calls on one socket: the next one begins when this one has ended or passed its turn. A send passes it
/// once it is submitted, so that up to 32 sends wait for their commit together and still are in order (SPEC.md
/// section 1).
#[derive(Debug, Clone, Default)]
pub struct Turn(Arc<AtomicBool>);

impl Turn {
    /// Lets the next call begin.
    pub fn pass(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the next call may begin.
    pub fn has_passed(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Which bucket a command is paid from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// None here; doors have limits of their own.
    Free,
    /// A message of the calling user (S-142).
    Message,
    /// A room of the calling user (S-076).
    Room,
    /// An approach to other people: opening a conversation, adding, inviting, joining (THREATS.md G3).
    Contact,
    /// A change of who is in a conversation as what, which all its members hear of (THREATS.md G5). The use case pays
    /// it itself, see [`Toll`].
    Change,
}

/// A command with a typed reply. The implementation decides; it never publishes, queues or spawns.
pub trait UseCase: Into<Command> + Send + 'static {
    /// What its caller gets.
    type Reply: TryFrom<Reply, Error = WrongReply> + Into<Reply> + Send + 'static;

    /// Whether it takes several steps, so that it must run to its end even if its caller stops waiting. A send needs
    /// no such protection: it is one step once it is submitted.
    const SEVERAL_STEPS: bool;

    /// What it costs its caller.
    const COST: Cost = Cost::Free;

    /// The client's own key, by which a retry of it is known (S-088).
    fn client_message_id(&self) -> Option<&str> {
        None
    }

    /// Runs it for `by`.
    fn run(self, app: &App, by: Caller) -> impl Future<Output = Result<Outcome<Self::Reply>, Error>> + Send;
}

/// What a use case learns about its caller.
#[derive(Debug)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// From which address, where there is one.
    pub address: Option<IpAddr>,
    /// See [`Call::turn`].
    pub turn: Turn,
    /// See [`Call::denied`].
    pub denied: Option<Error>,
    /// See [`Call::toll`].
    pub toll: Toll,
}

/// A reply of another command than the one called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stack answered with the reply of another command")]
pub struct WrongReply;

/// A use case that runs.
pub type Deciding = Pin<Box<dyn Future<Output = Result<Outcome<Reply>, Error>> + Send>>;

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident: $command:ty => $reply:ty,)*) => {
        /// Everything the chat can be asked. Its JSON form is what the control socket speaks:
        /// `{"command":"createRoom", …}`.
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(tag = "command", rename_all = "camelCase")]
        pub enum Command {
            $($(#[$doc])* $name($command),)*
        }

        /// The replies, one for each command.
        #[derive(Debug, Clone, Serialize)]
        #[serde(untagged)]
        pub enum Reply {
            $($(#[$doc])* $name($reply),)*
        }

        impl Command {
            /// Name for logs and metrics.
            pub fn name(&self) -> &'static str {
                match self { $(Command::$name(_) => stringify!($name),)* }
            }

            /// See [`UseCase::SEVERAL_STEPS`].
            pub fn takes_several_steps(&self) -> bool {
                match self { $(Command::$name(_) => <$command as UseCase>::SEVERAL_STEPS,)* }
            }

            /// See [`UseCase::COST`].
            pub fn cost(&self) -> Cost {
                match self { $(Command::$name(_) => <$command as UseCase>::COST,)* }
            }

            /// See [`UseCase::client_message_id`].
            pub fn client_message_id(&self) -> Option<&str> {
                match self { $(Command::$name(command) => command.client_message_id(),)* }
            }
        }

        $(
            impl From<$command> for Command {
                fn from(command: $command) -> Command {
                    Command::$name(command)
                }
            }

            impl From<$reply> for Reply {
                fn from(reply: $reply) -> Reply {
                    Reply::$name(reply)
                }
            }

            impl TryFrom<Reply> for $reply {
                type Error = WrongReply;
                fn try_from(reply: Reply) -> Result<$reply, WrongReply> {
                    match reply {
                        Reply::$name(reply) => Ok(reply),
                        _ => Err(WrongReply),
                    }
                }
            }
        )*

        impl App {
            /// Decides a call. The layers of [`crate::stack`] stand around this.
            ///
            /// Each command has a box of its own size; as one future all would be as large as the largest.
            pub fn decide(self: Arc<App>, call: Call) -> Deciding {
                let Call { actor, address, command, turn, denied, toll } = call;
                let caller = Caller { actor, address, turn, denied, toll };
                match command {
                    $(Command::$name(command) => Box::pin(async move {
                        command.run(&self, caller).await.map(|outcome| outcome.map(Reply::from))
                    }),)*
                }
            }
        }
    };
}

commands! {
    /// Create an account and log in (S-052).
    Register: accounts::Register => accounts::Registered,
    /// Log in (S-053).
    Login: accounts::Login => accounts::LoggedIn,
    /// Take a refresh token for new tokens (S-055).
    Refresh: accounts::Refresh => accounts::Refreshed,
    /// End the caller's session or all of them (S-054).
    Logout: accounts::Logout => accounts::LoggedOut,
    /// Whom an access token speaks for (S-083).
    VerifyToken: accounts::VerifyToken => accounts::TokenVerified,
    /// Look at the caller's own account (S-056).
    Me: accounts::Me => accounts::OwnAccount,
    /// Look at somebody's public profile (S-060).
    GetUser: accounts::GetUser => views::PublicUser,
    /// Change the caller's own account (S-134).
    UpdateProfile: accounts::UpdateProfile => accounts::ProfileUpdated,
    /// Change the caller's password (S-134).
    ChangePassword: accounts::ChangePassword => accounts::PasswordChanged,
    /// List the caller's sessions (S-134).
    MySessions: accounts::MySessions => accounts::OwnSessions,
    /// End the caller's other sessions, or one of all (S-134).
    EndMySessions: accounts::EndMySessions => accounts::MySessionsEnded,
    /// Find people (S-059).
    SearchUsers: people::SearchUsers => people::UsersFound,
    /// Block somebody (S-135).
    BlockUser: people::BlockUser => people::UserBlocked,
    /// Block somebody no longer (S-135).
    UnblockUser: people::UnblockUser => people::UserUnblocked,
    /// List whom the caller blocks (S-135).
    ListBlocks: people::ListBlocks => people::BlockList,
    /// Create an account for somebody.
    CreateUser: accounts::CreateUser => accounts::UserCreated,
    /// List accounts.
    ListUsers: accounts::ListUsers => accounts::UserList,
    /// Suspend an account, or lift that.
    SuspendUser: accounts::SuspendUser => accounts::UserSuspended,
    /// Make somebody an administrator, or not any more.
    SetAdmin: accounts::SetAdmin => accounts::AdminSet,
    /// List a user's sessions.
    ListSessions: accounts::ListSessions => accounts::SessionList,
    /// End a user's sessions.
    RevokeSessions: accounts::RevokeSessions => accounts::SessionsRevoked,
    /// List jobs that were given up (S-019).
    ListDeadJobs: jobs::ListDeadJobs => jobs::DeadJobList,
    /// Have a job that was given up tried again (S-019).
    RetryJob: jobs::RetryJob => jobs::JobRevived,
    /// Forget a job that was given up (S-019).
    DiscardJob: jobs::DiscardJob => jobs::JobDiscarded,
    /// Make a room (S-076).
    CreateRoom: rooms::CreateRoom => rooms::RoomCreated,
    /// List rooms (S-074).
    ListRooms: rooms::ListRooms => rooms::RoomList,
    /// Look at one room (S-075).
    GetRoom: rooms::GetRoom => views::RoomView,
    /// Become a member of a room (S-084).
    JoinRoom: rooms::JoinRoom => rooms::RoomJoined,
    /// End the membership (S-085).
    LeaveRoom: rooms::LeaveRoom => rooms::RoomLeft,
    /// Close a room for good.
    ArchiveRoom: rooms::ArchiveRoom => rooms::RoomArchived,
    /// Write to a room (S-086, S-088).
    SendRoomMessage: messages::SendRoomMessage => messages::MessageSent,
    /// Write to a conversation (S-088, S-129).
    SendMessage: messages::SendMessage => messages::MessagePosted,
    /// Give a message a new text (S-130).
    EditMessage: messages::EditMessage => messages::MessageEdited,
    /// Take a message out (S-131).
    DeleteMessage: messages::DeleteMessage => messages::MessageDeleted,
    /// Put a reaction on a message (S-132).
    AddReaction: messages::AddReaction => messages::ReactionAdded,
    /// Take a reaction off a message (S-132).
    RemoveReaction: messages::RemoveReaction => messages::ReactionRemoved,
    /// Move the caller's read pointer (S-073, S-091).
    MarkRead: messages::MarkRead => messages::ReadMarked,
    /// List who has read a message (S-108).
    ListReaders: messages::ListReaders => messages::Readers,
    /// Read one message.
    GetMessage: messages::GetMessage => messages::MessageFound,
    /// Read a conversation's messages (S-070).
    ConversationHistory: messages::ConversationHistory => messages::ConversationPage,
    /// Read the answers to a message (S-138).
    ReadThread: messages::ReadThread => messages::Thread,
    /// Find messages (S-133).
    SearchMessages: messages::SearchMessages => messages::MessagesFound,
    /// Read a room's messages (S-077).
    RoomHistory: messages::RoomHistory => messages::MessagePage,
    /// Open the direct conversation with somebody (S-063).
    OpenDirect: conversations::OpenDirect => conversations::DirectOpened,
    /// Make a group (S-064).
    CreateGroup: conversations::CreateGroup => conversations::GroupCreated,
    /// List the caller's conversations (S-062).
    ListConversations: conversations::ListConversations => conversations::ConversationList,
    /// Look at one conversation (S-065).
    GetConversation: conversations::GetConversation => conversations::ConversationFound,
    /// List the members of a conversation (S-065).
    ListMembers: conversations::ListMembers => conversations::MemberList,
    /// Make users members of a group (S-067, S-093).
    AddMembers: conversations::AddMembers => conversations::MembersAdded,
    /// End somebody's membership (S-068, S-094).
    RemoveMember: conversations::RemoveMember => conversations::MemberRemoved,
    /// Give a member another role (S-069, S-095).
    SetRole: conversations::SetRole => conversations::RoleSet,
    /// Become a member (S-071).
    JoinConversation: conversations::JoinConversation => conversations::ConversationJoined,
    /// End one's membership (S-072).
    LeaveConversation: conversations::LeaveConversation => conversations::ConversationLeft,
    /// Change settings (S-066).
    UpdateConversation: conversations::UpdateConversation => conversations::SettingsSaved,
    /// Close a group for good (S-137).
    CloseConversation: conversations::CloseConversation => conversations::ConversationClosed,
    /// Keep somebody out (S-071).
    BanMember: conversations::BanMember => conversations::Banned,
    /// Let somebody come back (S-071).
    UnbanMember: conversations::UnbanMember => conversations::Unbanned,
    /// Make an invite (S-071).
    CreateInvite: conversations::CreateInvite => conversations::InviteCreated,
    /// Take back all invites (S-071).
    RevokeInvites: conversations::RevokeInvites => conversations::InvitesRevoked,
    /// See where an invite leads (S-071).
    LookAtInvite: conversations::LookAtInvite => conversations::InviteFound,
    /// Leave a conversation out of one's list (S-063).
    SetHidden: conversations::SetHidden => conversations::HiddenSet,
    /// Set which messages notify (S-122).
    SetNotifications: conversations::SetNotifications => conversations::NotificationsSaved,
    /// Where all conversations of the caller stand (S-109).
    GetDigest: digest::GetDigest => digest::Digest,
    /// Have a conversation before one's eyes (S-087).
    OpenConversation: looking::OpenConversation => looking::ConversationOpened,
    /// Say that one types (S-089).
    StartTyping: typing::StartTyping => typing::TypingStarted,
    /// Say that one types no more (S-090).
    StopTyping: typing::StopTyping => typing::TypingStopped,
    /// Ask who is online (S-061).
    GetPresence: presence::GetPresence => presence::PresenceList,
    /// The caller has left a device, or is back at it (S-092).
    SetActivity: presence::SetActivity => presence::ActivitySet,
    /// A connection of a user came up (S-007).
    Connect: presence::Connect => presence::Connected,
    /// A connection of a user ended.
    Disconnect: presence::Disconnect => presence::Disconnected,
}
