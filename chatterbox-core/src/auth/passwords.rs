//! Password hashes: argon2id for new ones, bcrypt verified and replaced at the next login (S-047).
//!
//! Hashing is made to be dear, so it is the cheapest way to overload the server (THREATS.md C8): few run at once, few
//! wait, and the rest is told to come back. A hash that has begun keeps its slot though its caller may be gone.

use std::sync::Arc;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;

use super::fill_random;
use crate::domain::profile::Password;
use crate::domain::user::PasswordHash;
use crate::tasks::Tasks;

/// What one argon2id hash costs. The default is OWASP's first choice: 19 MiB, 2 passes, 1 lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashingParams {
    /// Memory in KiB, at least 8 for each lane.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for HashingParams {
    fn default() -> HashingParams {
        HashingParams {
            memory_kib: 19_456,
            iterations: 2,
            lanes: 1,
        }
    }
}

/// How much hashing there is at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashingLimits {
    /// Hashes that run at once; each holds its memory and a core.
    pub running: usize,
    /// Calls that wait beyond these; more are refused.
    pub waiting: usize,
}

impl Default for HashingLimits {
    /// As many as there are cores, and some ten seconds' worth of waiting.
    fn default() -> HashingLimits {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        HashingLimits {
            running: cores,
            waiting: 64 * cores,
        }
    }
}

/// argon2 does not take these parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("argon2 can't work with these parameters: {0}")]
pub struct InvalidHashingParams(argon2::Error);

/// Too many hashes are waiting already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct TooBusy;

/// What a password was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not the password, or there is no such account.
    Wrong,
    /// The password.
    Right,
    /// The password, and its hash should be made again with today's parameters.
    RightButOutdated,
}

/// Hashes and verifies.
pub struct Passwords {
    argon2: Argon2<'static>,
    params: HashingParams,
    /// Verified when there is no account, so that the answer takes as long. (An account whose hash is outdated answers
    /// in its own time until its next login.)
    dummy: PasswordHash,
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    tasks: Tasks,
}

impl Passwords {
    /// Hashes one dummy password with `params`, so it takes as long as a login.
    pub fn new(
        params: HashingParams,
        limits: HashingLimits,
        tasks: Tasks,
    ) -> Result<Passwords, InvalidHashingParams> {
        let argon2 = Params::new(params.memory_kib, params.iterations, params.lanes, None)
            .map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
            .map_err(InvalidHashingParams)?;
        let mut nobodys_password = [0; 16];
        fill_random(&mut nobodys_password);
        let running = limits.running.max(1);
        Ok(Passwords {
            dummy: hash(&argon2, &nobodys_password),
            argon2,
            params,
            running: Arc::new(Semaphore::new(running)),
            admitted: Arc::new(Semaphore::new(running + limits.waiting)),
            tasks,
        })
    }

    /// A hash for a new password.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, TooBusy> {
        let argon2 = self.argon2.clone();
        self.run(move || hash(&argon2, password.as_bytes())).await
    }

    /// Checks a password against the account's hash, or against nobody's: both take as long.
    pub async fn verify(&self, password: Password, stored: Option<PasswordHash>) -> Result<Verdict, TooBusy> {
        let exists = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.dummy.clone());
        let (argon2, params) = (self.argon2.clone(), self.params);
        self.run(move || {
            let matches = matches(&argon2, password.as_bytes(), &stored);
            match (matches && exists, is_current(&stored, params)) {
                (false, _) => Verdict::Wrong,
                (true, true) => Verdict::Right,
                (true, false) => Verdict::RightButOutdated,
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, TooBusy> {
        let admitted = Arc::clone(&self.admitted)
            .try_acquire_owned()
            .map_err(|_| TooBusy)?;
        let slot = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(|_| TooBusy)?;
        let done = self.tasks.spawn_blocking(move || {
            let result = work();
            drop((slot, admitted));
            result
        });
        // The pool refuses work only while the runtime shuts down.
        done.await.map_err(|_| TooBusy)
    }
}

fn hash(argon2: &Argon2<'_>, password: &[u8]) -> PasswordHash {
    let mut salt = [0; 16];
    fill_random(&mut salt);
    let hash: phc::PasswordHash = argon2
        .hash_password_with_salt(password, &salt)
        .expect("checked parameters, a salt of 16 bytes and a short password can be hashed");
    PasswordHash(hash.to_string())
}

fn matches(argon2: &Argon2<'_>, password: &[u8], stored: &PasswordHash) -> bool {
    if is_bcrypt(stored) {
        return bcrypt::verify(password, &stored.0).unwrap_or(false);
    }
    phc::PasswordHash::new(&stored.0).is_ok_and(|hash| argon2.verify_password(password, &hash).is_ok())
}

fn is_bcrypt(stored: &PasswordHash) -> bool {
    ["$2a$", "$2b$", "$2x$", "$2y$"]
        .iter()
        .any(|prefix| stored.0.starts_with(prefix))
}

fn is_current(stored: &PasswordHash, wanted: HashingParams) -> bool {
    let HashingParams {
        memory_kib,
        iterations,
        lanes,
    } = wanted;
    stored.0.starts_with(&format!(
        "$argon2id$v=19$m={memory_kib},t={iterations},p={lanes}$"
    ))
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords")
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const CHEAP: HashingParams = HashingParams {
        memory_kib: 8,
        iterations: 1,
        lanes: 1,
    };

    fn passwords(params: HashingParams) -> Passwords {
        Passwords::new(
            params,
            HashingLimits {
                running: 1,
                waiting: 1,
            },
            Tasks::new(),
        )
        .unwrap()
    }

    fn password(text: &str) -> Password {
        Password::attempt(text.into()).unwrap()
    }

    #[tokio::test]
    async fn s_047_argon2id_round_trips_and_nothing_is_cut() {
        let passwords = passwords(CHEAP);
        let long = "x".repeat(80);
        let hash = passwords.hash(password(&long)).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{}", hash.0);
        for (text, expected) in [
            (long.as_str(), Verdict::Right),
            (&long[..79], Verdict::Wrong),
            (&long[..72], Verdict::Wrong),
            ("", Verdict::Wrong),
        ] {
            assert_eq!(
                passwords.verify(password(text), Some(hash.clone())).await,
                Ok(expected)
            );
        }
        assert_eq!(passwords.verify(password(&long), None).await, Ok(Verdict::Wrong));
        assert_eq!(
            passwords
                .verify(password(&long), Some(PasswordHash("garbage".to_owned())))
                .await,
            Ok(Verdict::Wrong)
        );
    }

    #[tokio::test]
    async fn s_047_older_hashes_are_verified_and_called_outdated() {
        let passwords = passwords(CHEAP);
        let bcrypt = PasswordHash(bcrypt::hash("correct horse", 4).unwrap());
        assert_eq!(
            passwords
                .verify(password("correct horse"), Some(bcrypt.clone()))
                .await,
            Ok(Verdict::RightButOutdated)
        );
        assert_eq!(
            passwords.verify(password("wrong horse"), Some(bcrypt)).await,
            Ok(Verdict::Wrong)
        );
        let weaker = passwords.hash(password("correct horse")).await.unwrap();
        let stronger = Passwords::new(
            HashingParams {
                iterations: 2,
                ..CHEAP
            },
            HashingLimits {
                running: 1,
                waiting: 0,
            },
            Tasks::new(),
        )
        .unwrap();
        assert_eq!(
            stronger.verify(password("correct horse"), Some(weaker)).await,
            Ok(Verdict::RightButOutdated)
        );
    }

    #[tokio::test]
    async fn c8_more_than_can_wait_is_refused() {
        let passwords = Arc::new(passwords(CHEAP));
        let (release, gate) = mpsc::channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let tasks = Tasks::new();
        let running = tasks.spawn({
            let passwords = Arc::clone(&passwords);
            async move {
                passwords
                    .run(move || {
                        begun.send(()).unwrap();
                        gate.recv().unwrap();
                    })
                    .await
            }
        });
        has_begun.await.unwrap();
        let mut waiting = tasks.spawn({
            let passwords = Arc::clone(&passwords);
            async move { passwords.run(|| ()).await }
        });
        while passwords.admitted.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(passwords.hash(password("one too many")).await, Err(TooBusy));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        // A caller that goes away does not give its slot to the next one while its hash runs.
        running.abort();
        assert_eq!(passwords.hash(password("still too many")).await, Err(TooBusy));
        release.send(()).unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }

    #[test]
    fn parameters_are_checked_at_the_start() {
        let params = HashingParams {
            memory_kib: 1,
            ..CHEAP
        };
        let limits = HashingLimits {
            running: 1,
            waiting: 1,
        };
        assert!(Passwords::new(params, limits, Tasks::new()).is_err());
    }
}
