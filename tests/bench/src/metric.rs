//! What is measured, and the median over the rounds.

use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    /// Server CPU for one message at one recipient, its share of the sending included; microseconds.
    CpuPerDelivery,
    /// Server CPU for one message sent; microseconds.
    CpuPerSend,
    /// Server CPU from the TCP handshake to a logged-in socket; microseconds.
    CpuPerConnect,
    /// Memory a connection adds that does nothing; bytes.
    BytesPerConnection,
    Deliveries,
    Sends,
    DeliveryP50,
    DeliveryP99,
    AckP50,
    AckP99,
    /// How busy the server kept its core; percent.
    ServerCore,
    /// How much of the time the load generator had something to do; percent.
    GeneratorBusy,
}

impl Metric {
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::CpuPerDelivery => "us/delivery",
            Self::CpuPerSend => "us/send",
            Self::CpuPerConnect => "us/connect",
            Self::BytesPerConnection => "bytes/conn",
            Self::Deliveries => "deliveries/s",
            Self::Sends => "sends/s",
            Self::DeliveryP50 => "p50 ms",
            Self::DeliveryP99 => "p99 ms",
            Self::AckP50 => "ack p50 ms",
            Self::AckP99 => "ack p99 ms",
            Self::ServerCore => "server %",
            Self::GeneratorBusy => "generator %",
        }
    }

    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::CpuPerDelivery
            | Self::CpuPerSend
            | Self::DeliveryP50
            | Self::DeliveryP99
            | Self::AckP50
            | Self::AckP99 => format!("{value:.2}"),
            Self::CpuPerConnect => format!("{value:.1}"),
            Self::BytesPerConnection
            | Self::Deliveries
            | Self::Sends
            | Self::ServerCore
            | Self::GeneratorBusy => {
                format!("{value:.0}")
            }
        }
    }
}

/// The figures of one server in one scenario.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figures(BTreeMap<Metric, f64>);

impl Figures {
    pub(crate) fn set(&mut self, metric: Metric, value: f64) {
        self.0.insert(metric, value);
    }

    pub(crate) fn get(&self, metric: Metric) -> Option<f64> {
        self.0.get(&metric).copied()
    }

    /// Each figure's median; of an even number of rounds the lower middle one.
    pub(crate) fn median(rounds: &[Self]) -> Self {
        let mut values: BTreeMap<Metric, Vec<f64>> = BTreeMap::new();
        for (&metric, &value) in rounds.iter().flat_map(|figures| &figures.0) {
            values.entry(metric).or_default().push(value);
        }
        let median_of = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[(values.len() - 1) / 2]
        };
        Self(
            values
                .into_iter()
                .map(|(metric, values)| (metric, median_of(values)))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_one_wild_round() {
        let rounds = [3.0, 900.0, 2.0].map(|value| {
            let mut figures = Figures::default();
            figures.set(Metric::Sends, value);
            figures
        });
        assert_eq!(Figures::median(&rounds).get(Metric::Sends), Some(3.0));
        assert_eq!(Figures::median(&rounds).get(Metric::AckP50), None);
    }
}
