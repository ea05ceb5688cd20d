//! What the reader sees of a scenario.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use crate::budget::Verdict;
use crate::measure::Doubt;
use crate::metric::{Figures, Metric};
use crate::scenario::Scenario;
use crate::servers::Kind;

/// Medians of a scenario, with ratios to the two servers everything is compared with, budgets and doubts.
pub(crate) struct Table<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) rows: &'a [(Kind, Figures)],
    pub(crate) doubts: &'a BTreeMap<(Kind, Doubt), usize>,
    pub(crate) verdicts: &'a [Verdict],
}

impl Table<'_> {
    fn figures_of(&self, kind: Kind) -> Option<&Figures> {
        self.rows
            .iter()
            .find_map(|(row, figures)| (*row == kind).then_some(figures))
    }

    /// The servers others are compared with, as far as they were measured.
    fn references(&self) -> impl Iterator<Item = (Kind, &Figures)> {
        let references = [Kind::Bound, Kind::Node].into_iter();
        references.filter_map(|kind| Some((kind, self.figures_of(kind)?)))
    }

    fn cells(&self, figures: &Figures) -> Vec<String> {
        let show = |metric: Metric| {
            figures
                .get(metric)
                .map_or("-".to_owned(), |value| metric.show(value))
        };
        let compared = self.scenario.columns[0];
        let ratio = |(_, reference): (Kind, &Figures)| {
            let ratio = figures
                .get(compared)
                .zip(reference.get(compared))
                .map(|(ours, theirs)| ours / theirs);
            ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"))
        };
        let rest = self.scenario.columns[1..].iter().map(|&metric| show(metric));
        [show(compared)]
            .into_iter()
            .chain(self.references().map(ratio))
            .chain(rest)
            .collect()
    }

    fn headings(&self) -> Vec<String> {
        let heading = |metric: &Metric| metric.heading().to_owned();
        let ratios = self.references().map(|(kind, _)| format!("x {}", kind.title()));
        let (compared, rest) = self.scenario.columns.split_at(1);
        compared
            .iter()
            .map(heading)
            .chain(ratios)
            .chain(rest.iter().map(heading))
            .collect()
    }
}

impl Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", self.scenario.title())?;
        line(f, "", &self.headings())?;
        for (kind, figures) in self.rows {
            line(f, kind.title(), &self.cells(figures))?;
        }
        for verdict in self.verdicts {
            writeln!(f, "  budget   {}", verdict.text)?;
        }
        for (&(kind, doubt), rounds) in self.doubts {
            writeln!(
                f,
                "  doubtful {}: {} (rounds: {rounds})",
                kind.title(),
                doubt.sentence()
            )?;
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
