//! What else is at the place where a build wrote.

use std::path::Path;

use shardback::config::Format;
use shardback::open::DayFolder;
use shardback::pipeline::Summary;

/// A note for each format that a published day has from another build.
pub(super) fn other_builds(out: &Path, summary: &Summary) -> Vec<String> {
    let mut notes = Vec::new();
    for day in &summary.days {
        // What cannot be opened is for `verify` to say.
        let build = |format: Format| {
            let folder = out.join(format.name()).join(format!("dt={}", day.day));
            DayFolder::open(&folder).ok().map(|opened| opened.manifest().build.clone())
        };
        let Some(own) = day.formats.first().and_then(|written| build(written.format)) else { continue };
        for format in Format::ALL.into_iter().filter(|&format| build(format).is_some_and(|build| build != own)) {
            notes.push(format!(
                "note: {} of {} comes from another build; `verify` will say so",
                format.name(),
                day.day
            ));
        }
    }
    notes
}
