//! Messages: writing them, changing them, reading them, finding them.
//!
//! Whatever changes a conversation is decided in its lane ([`crate::log`]): the use cases here check what they are
//! given, look at stored rows to refuse early, and hand in rules. Everything that is read is shown in one shape
//! ([`MessageView`](crate::views::MessageView)), with what later entries have made of it.

mod change;
mod delete;
mod draft;
mod edit;
mod found;
mod history;
mod ids;
mod place;
mod react;
mod read;
mod readers;
mod search;
mod send;
mod sight;
mod thread;

pub use change::MessageChanged;
pub use delete::{DeleteMessage, MessageDeleted, Scope};
pub use edit::{EditMessage, MessageEdited};
pub use found::{MessageFound, MessagePage};
pub use history::{ConversationHistory, ConversationPage, GetMessage, Page, Position, RoomHistory};
pub use ids::{IdList, TooMany};
pub use react::{AddReaction, ReactionAdded, ReactionRemoved, RemoveReaction};
pub(super) use read::unread_total;
pub use read::{MarkRead, ReadMarked};
pub use readers::{ListReaders, Reader, Readers};
pub use search::{Hit, MessagesFound, SearchMessages};
pub use send::{MessagePosted, MessageReceipt, MessageSent, SendMessage, SendRoomMessage};
pub use thread::{ReadThread, Thread};
