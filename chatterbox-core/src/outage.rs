//! Failures that repeat: told when they begin, now and then while they last, and when they are over.

use std::borrow::Cow;
use std::time::Duration;

use tokio::time::Instant;

/// Between two warnings of the same.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// Something that is tried again and again, and what the operator was told of its failing. A loop that asks a store twice
/// a second would otherwise say so twice a second for as long as the store is away.
#[derive(Debug)]
pub struct Outage {
    what: Cow<'static, str>,
    /// The last warning, of this outage or one before: what comes and goes is told no more often.
    told: Option<Instant>,
    lasting: Option<Lasting>,
}

#[derive(Debug)]
struct Lasting {
    began: Instant,
    failures: u64,
    is_told: bool,
}

impl Outage {
    /// `what` fails while it lasts; half a sentence, as "revoked sessions can't be read".
    pub fn new(what: impl Into<Cow<'static, str>>) -> Outage {
        Outage {
            what: what.into(),
            told: None,
            lasting: None,
        }
    }

    /// It failed, once more or for the first time.
    pub fn failed(&mut self, error: &(dyn std::error::Error + 'static)) {
        if let Some(failures) = self.next_warning() {
            tracing::warn!(error, failures, "{}; it is tried again all the time", self.what);
        }
    }

    /// It worked.
    pub fn worked(&mut self) {
        if let Some(lasted) = self.end() {
            tracing::info!("it works again, after {} s: {}", lasted.as_secs(), self.what);
        }
    }

    /// How many failures there have been, if it is time to tell.
    fn next_warning(&mut self) -> Option<u64> {
        let now = Instant::now();
        let lasting = self.lasting.get_or_insert(Lasting {
            began: now,
            failures: 0,
            is_told: false,
        });
        lasting.failures += 1;
        if self.told.is_some_and(|at| now - at < TELL_EVERY) {
            return None;
        }
        self.told = Some(now);
        lasting.is_told = true;
        Some(lasting.failures)
    }

    /// How long it lasted, if the operator knows that it did.
    fn end(&mut self) -> Option<Duration> {
        let lasting = self.lasting.take()?;
        lasting.is_told.then(|| lasting.began.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_told_when_it_begins_every_minute_and_at_its_end() {
        let mut outage = Outage::new("nothing works");
        let mut told = Vec::new();
        for _ in 0..300 {
            told.extend(outage.next_warning());
            tokio::time::advance(Duration::from_millis(500)).await;
        }
        assert_eq!(told, [1, 121, 241]);
        assert_eq!(outage.end(), Some(Duration::from_secs(150)));
        assert_eq!(outage.end(), None, "nothing ended");
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_and_goes_is_told_no_more_often() {
        let mut outage = Outage::new("it flickers");
        let mut told = (0, 0);
        for _ in 0..100 {
            told.0 += usize::from(outage.next_warning().is_some());
            told.1 += usize::from(outage.end().is_some());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(told, (2, 2));
    }
}
