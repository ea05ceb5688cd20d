//! Whether a login still lives, asked at every request and answered without the store most of the time.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;

use crate::app::Error;
use crate::auth::{AccessTokens, Principal};
use crate::clock::{Clock, Timestamp};
use crate::ids::{SessionId, UserId};
use crate::ports::storage::SessionStore;

/// So long an answer of the store is believed: a session revoked anywhere is dead everywhere within this (I8).
const BELIEVED_FOR: Duration = Duration::from_secs(1);

/// Sessions whose answers are kept; at some 60 bytes each.
const CACHED_MAX: usize = 100_000;

/// Checks access tokens: the signature by the key ring, then the session by its row.
///
/// The row is the truth. A node that ends a session itself [`forget`](LiveSessions::forget)s it and sees that at once;
/// other nodes see it when their answer is a second old, whatever happens to the bus.
#[derive(Clone)]
pub struct LiveSessions {
    inner: Arc<Inner>,
}

struct Inner {
    tokens: AccessTokens,
    store: Arc<dyn SessionStore>,
    clock: Arc<dyn Clock>,
    answers: Cache<SessionId, Answer>,
}

/// What the store said about a session.
#[derive(Clone, Copy)]
struct Answer {
    asked_at: Timestamp,
    /// Whose session it is and until when it lives, if it lives.
    lives: Option<(UserId, Timestamp)>,
}

impl LiveSessions {
    /// Checks tokens of `tokens` against the rows of `store`.
    pub fn new(tokens: AccessTokens, store: Arc<dyn SessionStore>, clock: Arc<dyn Clock>) -> LiveSessions {
        let answers = Cache::new(CACHED_MAX);
        LiveSessions {
            inner: Arc::new(Inner {
                tokens,
                store,
                clock,
                answers,
            }),
        }
    }

    /// Whom an access token speaks for, if its session lives: [`Error::Unauthenticated`], [`Error::TokenExpired`], or
    /// the store's failure. Used by every HTTP request and by the socket's `auth`.
    pub async fn verify(&self, token: &str) -> Result<Principal, Error> {
        let principal = self.inner.tokens.verify(token, self.inner.clock.now())?;
        if self.lives(&principal).await? {
            Ok(principal)
        } else {
            Err(Error::Unauthenticated("the session has ended"))
        }
    }

    /// Whom a token speaks for, or would if its session still lived: what a repeated logout is answered by.
    pub fn verify_signature(&self, token: &str) -> Result<Principal, Error> {
        Ok(self.inner.tokens.verify(token, self.inner.clock.now())?)
    }

    /// Whether the session behind a verified token lives. For live sockets, which ask again every second.
    pub async fn lives(&self, principal: &Principal) -> Result<bool, Error> {
        let now = self.inner.clock.now();
        let answer = match self.inner.answers.get(&principal.session) {
            Some(answer) if answer.is_fresh_at(now) => answer,
            Some(_) | None => self.ask(principal.session, now).await?,
        };
        Ok(answer
            .lives
            .is_some_and(|(user, until)| user == principal.user && now < until))
    }

    /// Asks the store again at the next check. To be called by whoever ends a session on this node.
    pub fn forget(&self, session: SessionId) {
        self.inner.answers.remove(&session);
    }

    async fn ask(&self, session: SessionId, now: Timestamp) -> Result<Answer, Error> {
        let row = self.inner.store.get(session).await?;
        let lives = row
            .filter(|row| row.lives_at(now))
            .map(|row| (row.user, row.expires_at));
        let answer = Answer { asked_at: now, lives };
        self.inner.answers.insert(session, answer);
        Ok(answer)
    }
}

impl Answer {
    fn is_fresh_at(self, now: Timestamp) -> bool {
        // A wall clock may be set back; an answer from the future is not believed for ever.
        self.asked_at <= now && now.since(self.asked_at) < BELIEVED_FOR
    }
}

impl std::fmt::Debug for LiveSessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveSessions")
            .field("tokens", &self.inner.tokens)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::KeyRing;
    use crate::memory::MemorySessions;
    use crate::testkit::{Fault, Flaky, ManualClock, SeededIds, samples};

    #[tokio::test]
    async fn i8_the_store_is_asked_once_a_second_and_believed_no_longer() {
        let ids = Arc::new(SeededIds::new(1));
        let clock = Arc::new(ManualClock::at(samples::now()));
        let store = Arc::new(Flaky::new(Arc::new(MemorySessions::new(10))));
        let ring = KeyRing::new(b"a secret of more than thirty-two bytes", []);
        let tokens = AccessTokens::new(&ring, Duration::from_mins(15), ids.clone());
        let live = LiveSessions::new(tokens.clone(), store.clone(), clock.clone());
        let session = samples::session(&*ids, samples::user_id(&*ids));
        store.insert(&session).await.unwrap();
        let issue = |user| {
            tokens
                .issue(user, session.id, session.expires_at, samples::now())
                .0
        };
        let token = issue(session.user);
        assert_eq!(live.verify(&token).await.unwrap().user, session.user);

        // From here on any look at the store fails: within the second there is none.
        store.plan([Fault::Refused, Fault::Refused]);
        clock.advance(Duration::from_millis(999));
        assert!(live.verify(&token).await.is_ok());
        clock.advance(Duration::from_millis(1));
        assert!(
            matches!(live.verify(&token).await, Err(Error::Unavailable(_))),
            "never open"
        );
        live.forget(session.id);
        assert!(matches!(live.verify(&token).await, Err(Error::Unavailable(_))));
        assert!(live.verify(&token).await.is_ok());

        // A clock that was set back does not stretch the second.
        clock.set(samples::now());
        store.plan([Fault::Refused]);
        assert!(matches!(live.verify(&token).await, Err(Error::Unavailable(_))));

        // A session of somebody else makes nobody a user, however well it is signed.
        let stranger = issue(samples::user_id(&*ids));
        assert!(matches!(
            live.verify(&stranger).await,
            Err(Error::Unauthenticated(_))
        ));
    }
}
