//! Bars by day, as SVG that stands in the page. What it shows is also in a table, for whoever cannot see it.

use std::fmt::Write;

use super::page::escaped;
use crate::event::Day;

const WIDTH: f64 = 720.0;
/// Above the bars: what the highest is, and the signs over bars that stand out.
const HEAD: f64 = 28.0;
const BARS: f64 = 96.0;
/// Below the bars: the first and the last day.
const FOOT: f64 = 18.0;
/// The widest bar: two days do not make two walls.
const WIDEST: f64 = 48.0;

/// A value for each of some days.
pub(super) struct Chart<'a> {
    /// What is shown.
    pub(super) title: &'a str,
    /// The days, in order.
    pub(super) days: &'a [Day],
    /// Their values; none where a day has none.
    pub(super) values: &'a [Option<f64>],
    /// Whether each stands out.
    pub(super) marked: &'a [bool],
    /// A value as text.
    pub(super) text: &'a dyn Fn(f64) -> String,
}

impl Chart<'_> {
    /// Adds the picture to a page; nothing where no day has a value.
    pub(super) fn write(&self, page: &mut String) {
        let known = || self.values.iter().flatten().copied();
        let (Some(least), Some(most)) = (known().reduce(f64::min), known().reduce(f64::max)) else { return };
        let (Some(first), Some(last)) = (self.days.first(), self.days.last()) else { return };
        let title = escaped(self.title);
        let (low, high) = (escaped(&(self.text)(least)), escaped(&(self.text)(most)));
        let (height, base) = (HEAD + BARS + FOOT, HEAD + BARS);
        let step = (WIDTH / self.days.len() as f64).min(WIDEST);
        let right = step * self.days.len() as f64;
        // Writing to a text does not fail.
        let _ = write!(
            page,
            "<figure><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title} by day, from {low} to {high}\">\n\
             <text x=\"0\" y=\"11\">{high}</text>\n"
        );
        for (place, ((day, value), marked)) in self.days.iter().zip(self.values).zip(self.marked).enumerate() {
            let Some(value) = value else { continue };
            let (x, width) = (place as f64 * step, (step * 0.8).max(0.5));
            // What is there at all is seen; what is below zero is in the table.
            let tall = if most > 0.0 { (value / most * BARS).max(1.0) } else { 1.0 };
            let (class, y) = (if *marked { "bar odd" } else { "bar" }, base - tall);
            let text = escaped(&(self.text)(*value));
            let _ = writeln!(
                page,
                "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{tall:.2}\"><title>{day}: {text}</title></rect>"
            );
            if *marked {
                let (middle, above) = (x + width / 2.0, y - 3.0);
                let _ = writeln!(
                    page,
                    "<text class=\"odd\" x=\"{middle:.2}\" y=\"{above:.2}\" text-anchor=\"middle\">▼</text>"
                );
            }
        }
        let _ = write!(
            page,
            "<line class=\"base\" x1=\"0\" x2=\"{right:.2}\" y1=\"{base}\" y2=\"{base}\"/>\n<text x=\"0\" y=\"{0}\">{first}</text>\n",
            height - 4.0
        );
        // Two dates need room.
        if right > 150.0 {
            let _ = writeln!(page, "<text x=\"{right:.2}\" y=\"{0}\" text-anchor=\"end\">{last}</text>", height - 4.0);
        }
        let _ = writeln!(page, "</svg><figcaption>{title}</figcaption></figure>");
    }
}
