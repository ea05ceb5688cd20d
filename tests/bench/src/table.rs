//! What the reader sees of a scenario.

use std::fmt::{self, Display};

use crate::budget;
use crate::metric::{Figures, Metric};
use crate::scenario::Scenario;
use crate::servers::Kind;

/// Medians of a scenario, with ratios to the two servers everything is compared with, budgets and doubts.
pub(crate) struct Table<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) rows: &'a [(Kind, Figures)],
    pub(crate) doubts: &'a [String],
}

impl Table<'_> {
    fn figures_of(&self, kind: Kind) -> Option<&Figures> {
        self.rows
            .iter()
            .find_map(|(row, figures)| (*row == kind).then_some(figures))
    }

    fn cells(&self, figures: &Figures) -> Vec<String> {
        let show = |metric: Metric| {
            figures
                .get(metric)
                .map_or("-".to_owned(), |value| metric.show(value))
        };
        let [compared, rest @ ..] = self.scenario.columns else {
            return Vec::new();
        };
        let ratio_to = |kind| {
            let of = self.figures_of(kind)?.get(*compared)?;
            Some(format!("{:.2}", figures.get(*compared)? / of))
        };
        let ratios = [Kind::Bound, Kind::Node].map(|kind| ratio_to(kind).unwrap_or("-".to_owned()));
        let rest = rest.iter().map(|&metric| show(metric));
        [show(*compared)].into_iter().chain(ratios).chain(rest).collect()
    }
}

impl Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", self.scenario.title())?;
        let headings = self
            .scenario
            .columns
            .iter()
            .map(|metric| metric.heading().to_owned());
        let mut headings: Vec<String> = headings.collect();
        headings.splice(1..1, ["x bound".to_owned(), "x Node".to_owned()]);
        line(f, "", &headings)?;
        for (kind, figures) in self.rows {
            line(f, kind.title(), &self.cells(figures))?;
        }
        for verdict in budget::judge(self.scenario.name, |kind| self.figures_of(kind).cloned()) {
            writeln!(f, "  budget   {}", verdict.text)?;
        }
        for doubt in self.doubts {
            writeln!(f, "  doubtful {doubt}")?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, title: &str, cells: &[String]) -> fmt::Result {
    write!(f, "  {title:<22}")?;
    for cell in cells {
        write!(f, "{cell:>13}")?;
    }
    writeln!(f)
}
