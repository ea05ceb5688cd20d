//! I4: whatever happened while a client was away, after a resume it has what a fresh fetch would give it.
//!
//! A town of people on two nodes does random things by REST and socket. Each has devices that keep a [`Mirror`] of their
//! account from digests, replays and events alone, and that are cut off now and then; the bus loses and doubles what it
//! is given. After each resume the mirror is held against everything the API tells the same person at that moment.

mod driver;
mod mirror;

use driver::Town;

/// Runs, each from a seed of its own.
const RUNS: u64 = 6;
/// Things done in a run.
const STEPS: usize = 150;

#[tokio::test(start_paused = true)]
async fn i4_after_every_resume_a_client_has_what_a_fresh_fetch_gives() {
    let first = std::env::var("TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let mut compared = 0;
    for seed in first..first + RUNS {
        // Shown when a run fails: `TEST_SEED` begins there.
        println!("TEST_SEED={seed}");
        let mut town = Town::new(seed).await;
        for _ in 0..STEPS {
            town.does_something().await;
        }
        town.everybody_resumes().await;
        compared += town.compared;
    }
    assert!(compared > 60, "{compared} comparisons show too little");
}
