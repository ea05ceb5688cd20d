//! What ChatterBox has to reach: the table of budgets in the design, as data.

use crate::metric::{Figures, Metric};
use crate::scenario::Name;
use crate::servers::Kind;

pub(crate) struct Budget {
    scenario: Name,
    metric: Metric,
    limit: Limit,
    /// Where it should get in the end, where that is more than the limit.
    reach: Option<f64>,
}

enum Limit {
    /// At most this many times another server's figure.
    Times(f64, Kind),
    AtMost(f64),
}

const BUDGETS: &[Budget] = &[
    Budget::times(Name::BigRooms, Metric::CpuPerDelivery, 1.5, Kind::Bound).reach(1.2),
    Budget::times(Name::BigRooms, Metric::CpuPerDelivery, 0.2, Kind::Node),
    Budget::times(Name::SmallRooms, Metric::CpuPerDelivery, 2.25, Kind::Bound).reach(1.9),
    Budget::times(Name::SmallRooms, Metric::CpuPerDelivery, 0.55, Kind::Node),
    Budget::times(Name::Paced, Metric::CpuPerDelivery, 1.25, Kind::Bound),
    Budget::times(Name::Paced, Metric::DeliveryP99, 2.0, Kind::Bound),
    Budget::times(Name::Paced, Metric::CpuPerDelivery, 0.6, Kind::Node),
    Budget::times(Name::Alone, Metric::CpuPerSend, 6.0, Kind::Bound).reach(4.0),
    Budget::times(Name::Alone, Metric::CpuPerSend, 1.0, Kind::SocketioxideSqlite),
    Budget::times(Name::Alone, Metric::CpuPerSend, 1.0, Kind::NodeSqlite),
    Budget::at_most(Name::Idle, Metric::BytesPerConnection, 4096.0).reach(2560.0),
    Budget::at_most(Name::Idle, Metric::CpuPerConnect, 45.0),
];

/// Whether a budget was kept, with the sentence that says so.
#[derive(Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) met: bool,
    pub(crate) text: String,
}

impl Budget {
    const fn times(scenario: Name, metric: Metric, factor: f64, of: Kind) -> Self {
        Self {
            scenario,
            metric,
            limit: Limit::Times(factor, of),
            reach: None,
        }
    }

    const fn at_most(scenario: Name, metric: Metric, value: f64) -> Self {
        Self {
            scenario,
            metric,
            limit: Limit::AtMost(value),
            reach: None,
        }
    }

    const fn reach(mut self, value: f64) -> Self {
        self.reach = Some(value);
        self
    }

    /// `None` when one of the two servers was not measured.
    fn judge(&self, rows: &[(Kind, Figures)]) -> Option<Verdict> {
        let figure_of = |kind| rows.iter().find(|(row, _)| *row == kind)?.1.get(self.metric);
        let ours = figure_of(Kind::Chatterbox)?;
        let what = self.metric.heading();
        let (value, limit, text) = match self.limit {
            Limit::Times(factor, other) => {
                let ratio = ours / figure_of(other)?;
                (
                    ratio,
                    factor,
                    format!("{what}: {ratio:.2} x {}, at most {factor}", other.title()),
                )
            }
            Limit::AtMost(limit) => (
                ours,
                limit,
                format!("{what}: {}, at most {limit}", self.metric.show(ours)),
            ),
        };
        let met = value <= limit;
        let reached = match self.reach {
            Some(reach) if value <= reach => format!(" (reached {reach})"),
            Some(reach) => format!(" (to reach: {reach})"),
            None => String::new(),
        };
        Some(Verdict {
            met,
            text: format!("{text}: {}{reached}", if met { "met" } else { "MISSED" }),
        })
    }
}

/// The verdicts on one scenario, as far as there are figures for them.
pub(crate) fn judge(scenario: Name, rows: &[(Kind, Figures)]) -> Vec<Verdict> {
    let budgets = BUDGETS.iter().filter(|budget| budget.scenario == scenario);
    budgets.filter_map(|budget| budget.judge(rows)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_judged_when_both_sides_were_measured() {
        for (chatterbox, met, text) in [
            (
                1.1,
                true,
                "us/delivery: 1.10 x bound, at most 1.5: met (reached 1.2)",
            ),
            (
                1.4,
                true,
                "us/delivery: 1.40 x bound, at most 1.5: met (to reach: 1.2)",
            ),
            (
                1.6,
                false,
                "us/delivery: 1.60 x bound, at most 1.5: MISSED (to reach: 1.2)",
            ),
        ] {
            let rows = [(Kind::Bound, 1.0), (Kind::Chatterbox, chatterbox)].map(|(kind, value)| {
                let mut figures = Figures::default();
                figures.set(Metric::CpuPerDelivery, value);
                (kind, figures)
            });
            assert_eq!(
                judge(Name::BigRooms, &rows),
                [Verdict {
                    met,
                    text: text.to_owned()
                }]
            );
        }
    }
}
