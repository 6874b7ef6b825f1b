//! Tables of a page: a caption, heads for columns and rows, and cells that may stand out.

use std::fmt::Write;

use super::page::escaped;

/// A cell.
pub(super) struct Cell {
    text: String,
    is_odd: bool,
    share: Option<f64>,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_odd: false, share: None }
    }

    /// What is there, or a dash.
    pub(super) fn known(text: Option<String>) -> Self {
        Self::new(text.unwrap_or_else(|| "–".to_owned()))
    }

    /// It stands out, where it does.
    pub(super) fn odd(self, is_odd: bool) -> Self {
        Self { is_odd, ..self }
    }

    /// Its ground is as dark as its share of 1 is large.
    pub(super) fn share(self, share: f64) -> Self {
        Self { share: Some(share), ..self }
    }

    fn write(&self, page: &mut String) {
        let text = escaped(&self.text);
        // Writing to a text does not fail.
        let _ = match self.share {
            _ if self.is_odd => write!(page, "<td class=\"odd\"><span title=\"stands out\">! </span>{text}</td>"),
            // Never as dark as the text.
            Some(share) => {
                write!(page, "<td class=\"share\" style=\"--share:{:.0}%\">{text}</td>", share.clamp(0.0, 1.0) * 60.0)
            }
            None => write!(page, "<td>{text}</td>"),
        };
    }
}

/// Adds a table to a page. The first column are the heads of the rows.
pub(super) fn write(
    page: &mut String,
    caption: &str,
    heads: &[String],
    rows: impl Iterator<Item = (String, Vec<Cell>)>,
) {
    let caption = escaped(caption);
    let _ = writeln!(
        page,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table><caption>{caption}</caption>\n<thead><tr>"
    );
    for head in heads {
        let _ = write!(page, "<th scope=\"col\">{}</th>", escaped(head));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for (head, cells) in rows {
        let _ = write!(page, "<tr><th scope=\"row\">{}</th>", escaped(&head));
        cells.iter().for_each(|cell| cell.write(page));
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
}
