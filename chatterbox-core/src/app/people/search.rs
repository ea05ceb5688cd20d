use serde::{Deserialize, Serialize};

use crate::app::{App, Caller, Error, FieldError, Outcome, UseCase};
use crate::domain::user::{Email, LoginName};
use crate::domain::user_search::UserQuery;
use crate::ids::UserId;
use crate::ports::storage::FoundAt;
use crate::views::PublicUser;

/// How often a page reads on behind people who block the caller. A page may be short, or even empty, and have more
/// behind it.
const ROUNDS_MAX: usize = 4;

/// Finds people by the beginning of a word of their names, in order of that word, and by their whole address if they
/// allow it (S-059). Who blocks the caller is not found.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchUsers {
    /// What to look for, literally.
    pub q: String,
    /// Those behind this place.
    #[serde(default)]
    pub after: Option<FoundAt>,
    /// At most so many, 1 to 100.
    pub limit: usize,
}

/// A page of people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsersFound {
    /// The people.
    pub items: Vec<PublicUser>,
    /// Where the next page begins, if there is more.
    pub next: Option<FoundAt>,
}

impl UseCase for SearchUsers {
    type Reply = UsersFound;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<UsersFound>, Error> {
        let caller = by.actor.user()?.user;
        let query = UserQuery::parse(&self.q).map_err(|rule| {
            Error::Validation(vec![FieldError {
                field: "q".to_owned(),
                rule: rule.to_string(),
            }])
        })?;
        let limit = self.limit.clamp(1, 100);
        let mut items = Vec::new();
        if self.after.is_none() {
            items.extend(by_address(app, caller, &self.q).await?);
        }
        let with_address = items.first().map(|user: &PublicUser| user.id);
        let mut after = self.after;
        for _ in 0..ROUNDS_MAX {
            let wanted = limit.saturating_sub(items.len());
            let mut found = app
                .stores
                .users
                .search(&query, after.as_ref(), wanted + 1)
                .await?;
            let has_more = found.len() > wanted;
            found.truncate(wanted);
            let ids: Vec<UserId> = found.iter().map(|one| one.user.id).collect();
            let blockers = app.stores.blocks.blockers_of(caller, &ids).await?;
            if let Some(last) = found.last() {
                after = Some(last.at.clone());
            }
            let visible = found.into_iter().map(|one| one.user);
            items.extend(
                visible
                    .filter(|user| !blockers.contains(&user.id) && Some(user.id) != with_address)
                    .map(PublicUser::from),
            );
            if !has_more {
                return Ok(Outcome::of(UsersFound { items, next: None }));
            }
            if items.len() >= limit {
                break;
            }
        }
        Ok(Outcome::of(UsersFound { items, next: after }))
    }
}

/// The one whose address this is, if they want to be found by it. Whether there is an account with the address is told
/// by nothing else (THREATS.md C6).
async fn by_address(app: &App, caller: UserId, text: &str) -> Result<Option<PublicUser>, Error> {
    let Ok(email) = Email::parse(text) else {
        return Ok(None);
    };
    let found = app.stores.users.credentials(&LoginName::Email(email.key)).await?;
    let Some(user) = found.map(|found| found.user) else {
        return Ok(None);
    };
    if !user.settings.email_search || app.stores.blocks.between(user.id, caller).await?.first_blocks {
        return Ok(None);
    }
    Ok(Some(user.into()))
}
