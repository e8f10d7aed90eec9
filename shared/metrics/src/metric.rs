//! What a metric is: its name, its labels and its text, declared once.

use std::fmt::Write as _;

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, until the process ends.
    Counter,
    /// Rises and falls.
    Gauge,
    /// A distribution.
    Histogram,
}

/// The declaration of a metric; see [`declare!`](crate::declare).
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
}

impl Metric {
    /// A metric of this name, which ends in its unit, if it has one, and for a counter in `_total`.
    #[must_use]
    pub const fn new(
        name: &'static str,
        kind: Kind,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind, labels, help }
    }

    /// The whole name, such as `tidings_gateway_sent_bytes_total`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How it behaves.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The names of its labels.
    #[must_use]
    pub const fn labels(&self) -> &'static [&'static str] {
        self.labels
    }

    /// What it means.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        self.help
    }

    /// Whether it is of single tenants, and so on the page of tenants.
    #[must_use]
    pub fn is_of_tenants(&self) -> bool {
        self.labels.first() == Some(&"tenant")
    }

    /// The unit in which it is measured, if it has one.
    pub(crate) fn unit(&self) -> Option<&'static str> {
        ["seconds", "bytes"]
            .into_iter()
            .find(|unit| self.base().strip_suffix(unit).is_some_and(|stem| stem.ends_with('_')))
    }

    /// The name without unit and `_total`, which encoders append.
    pub(crate) fn stem(&self) -> &'static str {
        let base = self.base();
        let stem = self.unit().and_then(|unit| base.strip_suffix(unit)?.strip_suffix('_'));
        stem.unwrap_or(base)
    }

    /// The name without `_total`.
    fn base(&self) -> &'static str {
        match self.kind {
            Kind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            Kind::Gauge | Kind::Histogram => self.name,
        }
    }
}

/// Declares metrics, which the whole crate can name, and the list of them, each on a line: its name in the code, its kind,
/// its name, its labels and what it means.
///
/// ```
/// tidings_metrics::declare! {
///     /// What a baker counts.
///     pub METRICS {
///         LOAVES: Counter "bakery_loaves_total" ["flour"] "Loaves that were baked.",
///     }
/// }
/// assert_eq!(METRICS[0].labels(), ["flour"]);
/// ```
#[macro_export]
macro_rules! declare {
    ($(#[$meta:meta])* $vis:vis $all:ident {
        $($metric:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal,)+
    }) => {
        $(pub(crate) static $metric: $crate::Metric =
            $crate::Metric::new($name, $crate::Kind::$kind, &[$($label),*], $help);)+
        $(#[$meta])*
        $vis static $all: &[&$crate::Metric] = &[$(&$metric),+];
    };
}

/// Every metric as a Markdown table: name, kind, labels, meaning.
#[must_use]
pub fn reference_table<'m>(metrics: impl IntoIterator<Item = &'m Metric>) -> String {
    let mut table = "| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for metric in metrics {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing into a string cannot fail.
        let _ = writeln!(table, "| `{}` | {kind} | {} | {} |", metric.name, labels.join(", "), metric.help);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::declare! {
        ALL {
            LOAVES: Counter "bakery_loaves_total" ["flour"] "Loaves.",
            HEAT: Counter "bakery_heat_seconds_total" [] "Time.",
            FLOUR: Gauge "bakery_flour_bytes" ["tenant", "kind"] "Flour.",
            SECONDS: Gauge "seconds" [] "No unit, but a name.",
        }
    }

    #[test]
    fn names_are_taken_apart() {
        let parts: Vec<_> = ALL.iter().map(|metric| (metric.stem(), metric.unit())).collect();
        let expected = [
            ("bakery_loaves", None),
            ("bakery_heat", Some("seconds")),
            ("bakery_flour", Some("bytes")),
            ("seconds", None),
        ];
        assert_eq!(parts, expected);
        assert!(FLOUR.is_of_tenants() && !LOAVES.is_of_tenants());
    }

    #[test]
    fn the_table_has_a_row_for_each() {
        let table = reference_table(ALL.iter().copied());
        assert!(table.contains("| `bakery_flour_bytes` | gauge | `tenant`, `kind` | Flour. |\n"), "{table}");
        assert_eq!(table.lines().count(), 2 + ALL.len());
    }
}
