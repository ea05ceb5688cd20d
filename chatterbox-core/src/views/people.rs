use std::collections::HashMap;
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
        let mut ids: SmallVec<[UserId; 2]> = entries.into_iter().flat_map(People::named_by).collect();
        ids.sort_unstable();
        ids.dedup();
        if let [one] = ids[..] {
            return Ok(People(SmallVec::from_iter([names.get(one).await?])));
        }
        let found = names.get_many(ids).await?;
        Ok(People(found.into_values().collect()))
    }

    /// Those whom the entry names, among `known`.
    pub fn among(known: &HashMap<UserId, Arc<PublicUser>>, entry: &Entry) -> People {
        People(
            People::named_by(entry)
                .filter_map(|id| known.get(&id).cloned())
                .collect(),
        )
    }

    /// Whom an entry names, not each once.
    pub fn named_by(entry: &Entry) -> impl Iterator<Item = UserId> {
        std::iter::once(entry.sender).chain(subject(&entry.kind))
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
