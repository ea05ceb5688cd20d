use std::sync::Arc;

use smallvec::SmallVec;

use super::{Names, PublicUser};
use crate::domain::change::{Ban, Join, Leave, RoleChange};
use crate::domain::entry::{Entry, EntryKind};
use crate::ids::UserId;
use crate::ports::storage::StoreError;

/// The people that entries name: those who caused them and those they are about.
#[derive(Debug, Clone, Default)]
pub struct People(SmallVec<[Arc<PublicUser>; 2]>);

impl People {
    /// Everybody named by these entries.
    pub async fn of<'a>(
        names: &Names,
        entries: impl IntoIterator<Item = &'a Entry>,
    ) -> Result<People, StoreError> {
        let mut ids: SmallVec<[UserId; 2]> = SmallVec::new();
        for entry in entries {
            ids.push(entry.sender);
            ids.extend(subject(&entry.kind));
        }
        ids.sort_unstable();
        ids.dedup();
        if let [one] = ids[..] {
            return Ok(People(SmallVec::from_iter([names.get(one).await?])));
        }
        let found = names.get_many(ids).await?;
        Ok(People(found.into_values().collect()))
    }

    /// One of them.
    pub fn get(&self, id: UserId) -> Option<&PublicUser> {
        self.0.iter().find(|user| user.id == id).map(|user| &**user)
    }

    /// The name to call them by.
    pub fn name(&self, id: UserId) -> &str {
        self.get(id).map_or("Somebody", |user| &user.username)
    }
}

/// Whom an entry is about, besides its sender.
fn subject(kind: &EntryKind) -> Option<UserId> {
    match kind {
        EntryKind::Join(Join { user, .. })
        | EntryKind::Leave(Leave { user, .. })
        | EntryKind::Role(RoleChange { user, .. })
        | EntryKind::Ban(Ban { user, .. }) => Some(*user),
        EntryKind::Message(_)
        | EntryKind::Edit(_)
        | EntryKind::Delete(_)
        | EntryKind::Reaction(_)
        | EntryKind::Settings(_) => None,
    }
}
