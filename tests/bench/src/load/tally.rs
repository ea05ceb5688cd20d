//! What the clients counted.

#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Room messages that arrived, at all connections.
    pub(crate) deliveries: u64,
    /// Messages the server acknowledged.
    pub(crate) acks: u64,
    pub(crate) refusals: u64,
    pub(crate) first_refusal: Option<String>,
    /// From sending to arrival, at the observed connections; microseconds.
    pub(crate) delivery_us: Vec<u32>,
    /// From sending to acknowledgement; microseconds.
    pub(crate) ack_us: Vec<u32>,
}

impl Tally {
    pub(super) fn refused(&mut self, answer: &[u8]) {
        self.refusals += 1;
        self.first_refusal
            .get_or_insert_with(|| String::from_utf8_lossy(answer).into_owned());
    }
}

/// The given share of the times is at most this many milliseconds.
pub(crate) fn percentile_ms(times_us: &mut [u32], percent: usize) -> Option<f64> {
    let place = (times_us.len() * percent / 100).min(times_us.len().checked_sub(1)?);
    let (_, time_us, _) = times_us.select_nth_unstable(place);
    Some(f64::from(*time_us) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_thousand_times() {
        let mut times: Vec<u32> = (0..1000).rev().map(|ms| ms * 1000).collect();
        for (percent, expected) in [(0, 0.0), (50, 500.0), (99, 990.0), (100, 999.0)] {
            assert_eq!(percentile_ms(&mut times, percent), Some(expected));
        }
        assert_eq!(percentile_ms(&mut [], 50), None);
    }
}
