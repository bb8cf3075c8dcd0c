//! Everything that was found as files, and one page that needs nothing else.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::PaperError;
use super::found::{Found, Judged, Numbers, Verdict};
use super::items::Item;
use super::scope::{Budget, Scope};
use super::store::Machine;

/// Pixels of a picture.
const SIZE: (u32, u32) = (820, 460);

/// How it was made.
pub(super) struct Made<'a> {
    pub(super) command: String,
    pub(super) scope: &'a Scope,
    pub(super) machine: &'a Machine,
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111}\
h2{margin-top:3rem;border-top:1px solid #ccc;padding-top:1rem}table{border-collapse:collapse;font-size:.85rem;margin:1rem 0}\
th,td{border-bottom:1px solid #ddd;padding:.2rem .6rem;text-align:left;vertical-align:top}figure{margin:1rem 0}\
figure svg{max-width:100%;height:auto}figcaption,.note{color:#444;font-size:.9rem}code{background:#f3f3f3;padding:.1rem .3rem}\
.reproduced{color:#00664b;font-weight:600}.not-reproduced{color:#a33c00;font-weight:600}.not-testable{color:#555}\
details{margin:.5rem 0}@media print{h2{break-before:page}details[open]{break-inside:avoid}}";

/// Writes the page and a file for each picture and table.
pub(super) fn write(folder: &Path, made: &Made<'_>, shown: &[(Item, Found)]) -> Result<PathBuf, PaperError> {
    let put = |name: &str, text: &str| -> io::Result<PathBuf> {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Ok(path)
    };
    let mut page = head(made);
    verdicts(&mut page, shown);
    for (item, found) in shown {
        push(&mut page, format_args!("<h2 id=\"{item:?}\">{}</h2>\n", escape(&item.title())));
        for picture in &found.pictures {
            match picture.chart.svg(SIZE.0, SIZE.1) {
                Ok(svg) => {
                    put(&format!("{}.svg", picture.name), &svg)?;
                    let caption = escape(&picture.caption);
                    push(&mut page, format_args!("<figure>{svg}<figcaption>{caption}</figcaption></figure>\n"));
                }
                Err(error) => push(&mut page, format_args!("<p class=\"note\">{}</p>\n", escape(&error.to_string()))),
            }
        }
        for numbers in &found.numbers {
            put(&format!("{}.csv", numbers.name), &csv(numbers))?;
            table(&mut page, numbers, found.pictures.is_empty());
        }
        for judged in &found.judged {
            push(&mut page, format_args!("<p>{}</p>\n", sentence(judged)));
        }
        for note in &found.notes {
            push(&mut page, format_args!("<p class=\"note\">{}</p>\n", escape(note)));
        }
    }
    page.push_str("</body></html>\n");
    Ok(put("index.html", &page)?)
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = page.write_fmt(text);
}

fn head(made: &Made<'_>) -> String {
    let Made { command, scope, machine } = made;
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>TT-Rec, repeated</title>\
         <style>{STYLE}</style></head><body>\n<h1>TT-Rec, repeated</h1>\n"
    );
    push(
        &mut page,
        format_args!(
            "<p>The figures and tables of Yin et al., <em>TT-Rec: Tensor Train Compression for Deep Learning Recommendation \
             Models</em> (MLSys 2021), measured again with ttcore {}, and what else could be done with the same bytes. \
             Made by <code>{}</code> on {}, {} threads ({}), which multiplies large matrices at {:.0} GFLOP/s.</p>\n",
            env!("CARGO_PKG_VERSION"),
            escape(command),
            escape(&machine.processor),
            machine.threads,
            escape(&machine.isa),
            machine.gflops
        ),
    );
    let size = match scope.budget {
        Budget::Tiny => "tiny: that everything works, no more. No number of it means anything",
        Budget::Quick => "quick: small tables and few lines, so that numbers are rough",
        Budget::Standard => "standard: tables of the size of Criteo Kaggle, fewer lines",
        Budget::Full => "full",
    };
    push(
        &mut page,
        format_args!(
            "<p>Budget {size}; seeds 1 to {}; accuracy on {}. Claims and tolerances were written down before the runs; \
             values that the paper has only in pictures are not compared. Every number comes from a line of \
             <code>runs.jsonl</code> beside this page.</p>\n",
            scope.seeds,
            escape(&scope.on())
        ),
    );
    page
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Reproduced => "reproduced",
        Verdict::NotReproduced => "not-reproduced",
        Verdict::NotTestable => "not-testable",
    }
}

fn verdicts(page: &mut String, shown: &[(Item, Found)]) {
    let all = || shown.iter().flat_map(|(item, found)| found.judged.iter().map(move |judged| (item, judged)));
    if all().next().is_none() {
        return;
    }
    page.push_str("<table><tr><th></th><th>claim</th><th>verdict</th><th>here</th></tr>\n");
    for (item, Judged { claim, verdict, because }) in all() {
        push(
            page,
            format_args!(
                "<tr><td><a href=\"#{item:?}\">{}</a></td><td>{}</td><td class=\"{}\">{}</td><td>{}</td></tr>\n",
                escape(&claim.item),
                escape(&claim.says),
                class(*verdict),
                verdict.name(),
                escape(because)
            ),
        );
    }
    page.push_str("</table>\n");
}

fn sentence(Judged { claim, verdict, because }: &Judged) -> String {
    format!(
        "Section {}: {} <span class=\"{}\">{}</span>: {}. <span class=\"note\">({})</span>",
        escape(&claim.section),
        escape(&claim.says),
        class(*verdict),
        verdict.name(),
        escape(because),
        escape(&claim.test)
    )
}

fn table(page: &mut String, numbers: &Numbers, open: bool) {
    let open = if open { " open" } else { "" };
    push(page, format_args!("<details{open}><summary>{}</summary><table><tr>", escape(&numbers.caption)));
    for column in &numbers.columns {
        push(page, format_args!("<th>{}</th>", escape(column)));
    }
    page.push_str("</tr>\n");
    for row in &numbers.rows {
        page.push_str("<tr>");
        row.iter().for_each(|cell| push(page, format_args!("<td>{}</td>", escape(cell))));
        page.push_str("</tr>\n");
    }
    page.push_str("</table></details>\n");
}

fn csv(numbers: &Numbers) -> String {
    let cell = |text: &String| {
        if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.clone() }
    };
    let line = |cells: &Vec<String>| cells.iter().map(cell).collect::<Vec<_>>().join(",") + "\n";
    line(&numbers.columns) + &numbers.rows.iter().map(line).collect::<String>()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_commas_and_quotes_are_quoted() {
        let numbers = Numbers {
            name: "n".into(),
            caption: "c".into(),
            columns: vec!["a".into(), "b".into()],
            rows: vec![vec!["1, 2".into(), "\"x\"".into()]],
        };
        assert_eq!(csv(&numbers), "a,b\n\"1, 2\",\"\"\"x\"\"\"\n");
    }
}
