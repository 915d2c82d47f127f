//! What was measured, and how it is shown.

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use hdrhistogram::Histogram;

use super::process::Usage;

/// One workload's result.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) workload: String,
    /// What was done, how often a second.
    pub(crate) rate: f64,
    /// What is counted.
    pub(crate) unit: &'static str,
    /// Milliseconds, where a single operation was timed.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    /// Microseconds of the hub's processor time for each.
    pub(crate) cpu_micros: f64,
    /// Bytes that the hub held at the end.
    pub(crate) resident: u64,
    /// KiB that the hub held more at the end than before, for each of what is counted; where that is what is asked.
    pub(crate) kib_each: Option<f64>,
    /// Bytes that its store took on the disk at the end.
    pub(crate) stored: u64,
    /// Entries in the log at the end.
    pub(crate) head: u64,
}

/// Work that was timed.
pub(crate) struct Done {
    pub(crate) count: usize,
    pub(crate) seconds: f64,
    pub(crate) unit: &'static str,
    pub(crate) latencies: Option<Histogram<u64>>,
    /// Whether what was counted is still there and waits, so that its memory can be told.
    pub(crate) waiting: bool,
    pub(crate) head: u64,
}

impl Done {
    pub(crate) const fn new(count: usize, seconds: f64, unit: &'static str, head: u64) -> Self {
        Self { count, seconds, unit, latencies: None, waiting: false, head }
    }

    pub(crate) fn with_latencies(self, latencies: Histogram<u64>) -> Self {
        Self { latencies: Some(latencies), ..self }
    }

    pub(crate) fn waiting(self) -> Self {
        Self { waiting: true, ..self }
    }
}

impl Figure {
    pub(crate) fn new(
        workload: String,
        done: &Done,
        before: Usage,
        after: Usage,
        stored: u64,
    ) -> Self {
        let count = f64::from(u32::try_from(done.count.max(1)).unwrap_or(u32::MAX));
        let at = |quantile: f64| {
            done.latencies.as_ref().map(|histogram| millis(histogram.value_at_quantile(quantile)))
        };
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        Self {
            workload,
            rate: count / done.seconds,
            unit: done.unit,
            p50: at(0.5),
            p99: at(0.99),
            cpu_micros: cpu * 1e6 / count,
            resident: after.resident,
            kib_each: done.waiting.then(|| {
                let grown = after.resident.saturating_sub(before.resident) / 1024;
                f64::from(u32::try_from(grown).unwrap_or(u32::MAX)) / count
            }),
            stored,
            head: done.head,
        }
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::json!({
            "workload": self.workload,
            "rate": self.rate,
            "unit": self.unit,
            "p50_ms": self.p50,
            "p99_ms": self.p99,
            "hub_cpu_us": self.cpu_micros,
            "hub_resident_bytes": self.resident,
            "hub_kib_each": self.kib_each,
            "hub_stored_bytes": self.stored,
            "log_entries": self.head,
        })
        .to_string()
    }
}

/// The round whose rate is in the middle.
pub(crate) fn median(mut rounds: Vec<Figure>) -> Option<Figure> {
    rounds.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    let middle = rounds.len() / 2;
    rounds.into_iter().nth(middle)
}

pub(crate) fn table(figures: &[Figure]) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(vec![
        "WORKLOAD",
        "RATE",
        "",
        "P50 ms",
        "P99 ms",
        "HUB CPU us",
        "HUB RSS MiB",
        "KiB EACH",
        "DISK MiB",
        "LOG",
    ]);
    let optional =
        |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.2}"));
    for figure in figures {
        table.add_row(vec![
            figure.workload.clone(),
            format!("{:.0}/s", figure.rate),
            figure.unit.to_owned(),
            optional(figure.p50),
            optional(figure.p99),
            format!("{:.2}", figure.cpu_micros),
            (figure.resident / 1024 / 1024).to_string(),
            optional(figure.kib_each),
            (figure.stored / 1024 / 1024).to_string(),
            figure.head.to_string(),
        ]);
    }
    table.to_string()
}

fn millis(micros: u64) -> f64 {
    std::time::Duration::from_micros(micros).as_secs_f64() * 1000.0
}
