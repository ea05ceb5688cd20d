//! How the server is (S-082): cheap to ask, without internals.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

/// For so long an answer is given again.
const BELIEVED_FOR: Duration = Duration::from_secs(1);
/// A check that takes longer has failed.
const CHECK_TIME_MAX: Duration = Duration::from_millis(500);

/// Something the server depends on.
#[async_trait]
pub trait HealthCheck: Send + Sync {
    /// As operators know it: `storage`, `redis`.
    fn name(&self) -> &'static str;

    /// Whether no write can be accepted without it.
    fn is_vital(&self) -> bool;

    /// Whether it works right now. Given up after half a second.
    async fn works(&self) -> bool;
}

/// Asks the checks, at most once a second however often it is asked itself.
#[derive(Clone)]
pub struct Health {
    shared: Arc<Shared>,
}

struct Shared {
    version: &'static str,
    started: Instant,
    checks: Vec<Box<dyn HealthCheck>>,
    draining: CancellationToken,
    last: Mutex<Option<(Instant, HealthReport)>>,
}

/// The answer to `GET /api/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HealthReport {
    /// `ok`; `degraded` if something fails without which messages still go; `failing` if they don't (503).
    pub status: HealthStatus,
    /// Version of the server.
    pub version: &'static str,
    /// Seconds since it was started.
    pub uptime: u64,
    /// What the server depends on, by name.
    pub checks: BTreeMap<&'static str, CheckStatus>,
}

/// How the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// Everything works.
    Ok,
    /// Something fails without which messages still go.
    Degraded,
    /// Writes can't be accepted.
    Failing,
}

/// How one of its parts is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// It works.
    Ok,
    /// It doesn't.
    Failing,
}

impl Health {
    /// Over `checks`. From `draining` on the server is alive but not ready.
    pub fn new(
        version: &'static str,
        checks: Vec<Box<dyn HealthCheck>>,
        draining: CancellationToken,
    ) -> Health {
        Health {
            shared: Arc::new(Shared {
                version,
                started: Instant::now(),
                checks,
                draining,
                last: Mutex::new(None),
            }),
        }
    }

    /// How it is now, or was within the last second.
    pub async fn report(&self) -> HealthReport {
        let mut last = self.shared.last.lock().await;
        if let Some((asked, report)) = &*last
            && asked.elapsed() < BELIEVED_FOR
        {
            return report.clone();
        }
        let report = self.shared.ask().await;
        *last = Some((Instant::now(), report.clone()));
        report
    }

    /// Whether requests should be sent here: writes are accepted and the server is not on its way out.
    pub async fn is_ready(&self) -> bool {
        !self.shared.draining.is_cancelled() && self.report().await.status != HealthStatus::Failing
    }
}

impl Shared {
    async fn ask(&self) -> HealthReport {
        let asking = self.checks.iter().map(async |check| {
            let works = timeout(CHECK_TIME_MAX, check.works()).await.unwrap_or(false);
            (check, works)
        });
        let mut status = HealthStatus::Ok;
        let mut checks = BTreeMap::new();
        for (check, works) in join_all(asking).await {
            checks.insert(
                check.name(),
                if works {
                    CheckStatus::Ok
                } else {
                    CheckStatus::Failing
                },
            );
            status = match (works, check.is_vital(), status) {
                (true, _, status) => status,
                (false, true, _) | (false, false, HealthStatus::Failing) => HealthStatus::Failing,
                (false, false, _) => HealthStatus::Degraded,
            };
        }
        HealthReport {
            status,
            version: self.version,
            uptime: self.started.elapsed().as_secs(),
            checks,
        }
    }
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health")
            .field("version", &self.shared.version)
            .finish_non_exhaustive()
    }
}
