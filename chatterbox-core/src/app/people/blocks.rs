use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::{App, Caller, Effect, Error, Outcome, UseCase, UserSignal};
use crate::clock::Timestamp;
use crate::ids::UserId;
use crate::ports::storage::Blocked;
use crate::views::PublicUser;

/// Blocks somebody (S-135). Again is fine; who is blocked is not told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BlockUser {
    /// Whom.
    pub user: UserId,
}

/// The caller blocks them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserBlocked {
    /// False if it was so before.
    pub changed: bool,
}

impl UseCase for BlockUser {
    type Reply = UserBlocked;
    const SEVERAL_STEPS: bool = true;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<UserBlocked>, Error> {
        let caller = by.actor.user()?.user;
        if self.user == caller {
            return Err(Error::invalid("id", "not oneself"));
        }
        let known = app.stores.users.get(self.user).await?;
        known.ok_or(Error::NotFound("user"))?;
        let (now, blocks_max) = (app.clock.now(), app.quotas.blocks_max);
        match app
            .stores
            .blocks
            .block(caller, self.user, now, blocks_max)
            .await?
        {
            Blocked::Already => Ok(Outcome::of(UserBlocked { changed: false })),
            Blocked::TooMany => Err(Error::QuotaExceeded("you block as many people as allowed")),
            Blocked::Now => {
                let event = UserSignal::UserBlocked(self.user);
                let (by, user) = (caller, self.user);
                Ok(Outcome::of(UserBlocked { changed: true })
                    .with(Effect::Tell { user: caller, event })
                    .with(Effect::BlockChanged { by, user }))
            }
        }
    }
}

/// Blocks somebody no longer (S-135). Again is fine, also for people who are gone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnblockUser {
    /// Whom.
    pub user: UserId,
}

/// The caller doesn't block them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserUnblocked {
    /// False if it was so before.
    pub changed: bool,
}

impl UseCase for UnblockUser {
    type Reply = UserUnblocked;
    const SEVERAL_STEPS: bool = true;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<UserUnblocked>, Error> {
        let caller = by.actor.user()?.user;
        let changed = app.stores.blocks.unblock(caller, self.user).await?;
        let outcome = Outcome::of(UserUnblocked { changed });
        if !changed {
            return Ok(outcome);
        }
        let event = UserSignal::UserUnblocked(self.user);
        let (by, user) = (caller, self.user);
        Ok(outcome
            .with(Effect::Tell { user: caller, event })
            .with(Effect::BlockChanged { by, user }))
    }
}

/// Whom the caller blocks, in order of id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListBlocks {
    /// Those behind this one.
    #[serde(default)]
    pub after: Option<UserId>,
    /// At most so many, 1 to 100.
    pub limit: usize,
}

/// Somebody whom the caller blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlockView {
    /// Who.
    pub user: PublicUser,
    /// Since when.
    pub blocked_at: Timestamp,
}

/// A page of blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockList {
    /// The blocks.
    pub items: Vec<BlockView>,
    /// Whether there are more behind the last.
    pub has_more: bool,
}

impl UseCase for ListBlocks {
    type Reply = BlockList;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<BlockList>, Error> {
        let caller = by.actor.user()?.user;
        let limit = self.limit.clamp(1, 100);
        let mut blocks = app.stores.blocks.list(caller, self.after, limit + 1).await?;
        let has_more = blocks.len() > limit;
        blocks.truncate(limit);
        let names = app.names.get_many(blocks.iter().map(|block| block.user)).await?;
        let view = |block: crate::ports::storage::Block| {
            let user = names.get(&block.user)?;
            Some(BlockView {
                user: PublicUser::clone(user),
                blocked_at: block.since,
            })
        };
        let items = blocks.into_iter().filter_map(view).collect();
        Ok(Outcome::of(BlockList { items, has_more }))
    }
}
