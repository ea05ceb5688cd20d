use serde::{Deserialize, Serialize};

use super::{AccountView, Fields, OwnAccount};
use crate::app::{App, Caller, Effect, Error, Outcome, UseCase, UserSignal};
use crate::domain::profile::display_name;
use crate::domain::user::{NameChange, ProfileChange};

/// Changes the caller's own account: what is named changes, all else stays (S-134).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateProfile {
    /// The name shown beside the username; an empty one takes it away.
    pub display_name: Option<String>,
    /// Whether others see how far the caller has read, and the caller how far they have.
    pub read_receipts: Option<bool>,
    /// Whether others see that the caller is online.
    pub show_presence: Option<bool>,
    /// Whether who knows the caller's address finds the caller by it.
    pub allow_email_search: Option<bool>,
}

/// The account as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ProfileUpdated(pub OwnAccount);

impl UseCase for UpdateProfile {
    type Reply = ProfileUpdated;
    const SEVERAL_STEPS: bool = true;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<ProfileUpdated>, Error> {
        let user = by.actor.user()?.user;
        let change = self.change()?;
        let showed = match change.show_presence {
            Some(_) => app
                .stores
                .users
                .get(user)
                .await?
                .map(|before| before.settings.show_presence),
            None => None,
        };
        let account = app.stores.users.change_profile(user, &change).await?;
        let account = AccountView::from(account.ok_or(Error::Unauthenticated("the account is gone"))?);
        let own = OwnAccount::of(app, account.clone()).await?;
        let mut outcome = Outcome::of(ProfileUpdated(own));
        if change == ProfileChange::default() {
            return Ok(outcome);
        }
        if let Some(shown) = change.show_presence.filter(|shown| Some(*shown) != showed) {
            outcome = outcome.with(Effect::PresenceShown { user, shown });
        }
        Ok(outcome.with(Effect::ProfileChanged(user)).with(Effect::Tell {
            user,
            event: UserSignal::ProfileUpdated(Box::new(account)),
        }))
    }
}

impl UpdateProfile {
    fn change(self) -> Result<ProfileChange, Error> {
        let mut fields = Fields::default();
        let shown = match self.display_name.as_deref() {
            None => Ok(NameChange::Keep),
            Some(text) if text.trim().is_empty() => Ok(NameChange::Remove),
            Some(text) => display_name(text).map(NameChange::Set),
        };
        let Some(display_name) = fields.check("displayName", shown) else {
            return Err(fields.refused());
        };
        Ok(ProfileChange {
            display_name,
            read_receipts: self.read_receipts,
            show_presence: self.show_presence,
            email_search: self.allow_email_search,
        })
    }
}
