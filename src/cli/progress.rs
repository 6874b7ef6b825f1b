//! Progress of a build: a bar on a terminal, a line for each finished stage elsewhere, nothing when asked to be quiet.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use shardback::pipeline::{DaySummary, Observer, Stage, StageTime};

use super::{interrupt, print, text};

/// How progress is shown.
pub(super) enum Progress {
    Bar(Mutex<Option<ProgressBar>>),
    Lines,
    Quiet,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Self::Quiet,
            (false, true) => Self::Bar(Mutex::new(None)),
            (false, false) => Self::Lines,
        }
    }

    fn line(&self, line: &str) {
        match self {
            Self::Bar(bar) => match bar.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
                Some(bar) => bar.println(line),
                None => print::err(line),
            },
            Self::Lines => print::err(line),
            Self::Quiet => {}
        }
    }
}

impl Observer for Progress {
    fn begin(&self, stage: Stage, total: u64) {
        let Self::Bar(bar) = self else { return };
        let shown = ProgressBar::new(total).with_style(style(stage)).with_message(stage.to_string());
        *bar.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
    }

    fn advance(&self, _: Stage, units: u64) {
        let Self::Bar(bar) = self else { return };
        if let Some(bar) = bar.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            bar.inc(units);
        }
    }

    fn end(&self, time: &StageTime) {
        if let Self::Bar(bar) = self
            && let Some(bar) = bar.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            bar.finish_and_clear();
        }
        self.line(&format!("{}: {}", time.stage, text::seconds(time.elapsed)));
    }

    fn published(&self, day: &DaySummary) {
        let samples = text::counted(day.samples, "sample");
        let customers = text::counted(day.customers, "customer");
        self.line(&format!("published {}: {samples} of {customers}", day.day));
    }

    fn cancelled(&self) -> bool {
        interrupt::asked()
    }
}

fn style(stage: Stage) -> ProgressStyle {
    let template = match stage {
        Stage::Impressions | Stage::Actions => {
            "{msg:20} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}"
        }
        Stage::Histories => "{msg:20} {elapsed}",
        Stage::Day(_) | Stage::Tables => "{msg:20} {wide_bar} {human_pos}/{human_len} rows {per_sec} {eta}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
