//! What needs no run: shapes and bytes.

use ttcore::TtShape;

use super::super::claims::Claims;
use super::super::found::Found;
use crate::memory::{CORES, ModelMemory, largest_tables};
use crate::plot::{Axis, Chart, Mark, Series};
use crate::presets::Preset;

/// Ranks of Table 2.
const RANKS: [usize; 3] = [16, 32, 64];

/// Parameters of the paper's Table 2, table after table, the largest first.
const PARAMETERS: [[usize; 3]; 7] = [
    [135_040, 495_360, 1_891_840],
    [122_176, 449_152, 1_717_504],
    [121_600, 448_000, 1_715_200],
    [106_944, 393_088, 1_502_976],
    [79_264, 291_648, 1_115_776],
    [43_360, 160_448, 615_808],
    [31_744, 116_736, 446_464],
];

/// Its memory reductions.
const REDUCTIONS: [[f64; 3]; 7] = [
    [1200.0, 327.0, 86.0],
    [1094.0, 297.0, 78.0],
    [927.0, 252.0, 66.0],
    [817.0, 222.0, 58.0],
    [445.0, 121.0, 32.0],
    [106.0, 28.0, 7.0],
    [72.0, 19.0, 5.0],
];

pub(super) fn show_table2(claims: &Claims) -> Result<Found, String> {
    let mut found = Found::default();
    let claim = claims.get("table2-parameters")?;
    let rows = Preset::Kaggle.table_rows();
    let (mut table, mut equal, mut near) = (Vec::new(), 0, 0);
    for (position, number) in largest_tables(rows, 7).into_iter().enumerate() {
        let mut line = vec![rows[number].to_string()];
        for (column, rank) in RANKS.into_iter().enumerate() {
            let shape = TtShape::paper(rows[number], 16, CORES, rank).map_err(|error| error.to_string())?;
            if column == 0 {
                line.push(format!("{:?} x {:?}", shape.row_factors(), shape.col_factors()));
            }
            let (printed, reduction) = (PARAMETERS[position][column], REDUCTIONS[position][column]);
            equal += usize::from(shape.parameters() == printed);
            near += usize::from((shape.compression() - reduction).abs() <= claim.within);
            line.push(format!("{} ({printed})", shape.parameters()));
            line.push(format!("{:.1} ({reduction})", shape.compression()));
        }
        table.push(line);
    }
    let columns = ["rows", "row and column factors", "R = 16", "times", "R = 32", "times", "R = 64", "times"];
    found.table("table2", "Parameters and how many times smaller; the paper's in brackets.", &columns, table);
    let because = format!("{equal} of 21 numbers of parameters are equal, {near} of 21 ratios");
    found.judge(claim, equal == 21 && near == 21, because);
    Ok(found)
}

pub(super) fn show_fig5(claims: &Claims) -> Result<Found, String> {
    let mut found = Found::default();
    let axis = Axis::of("tables as tensor trains of rank 32", ["none", "3", "5", "7"]);
    let mut chart = Chart::new("Figure 5: bytes of all tables", axis, Axis::log("bytes"));
    let mut rows = Vec::new();
    let sets =
        [(Preset::Kaggle, "fig5-kaggle", [4.0, 48.0, 117.0]), (Preset::Terabyte, "fig5-terabyte", [2.6, 21.8, 95.5])];
    for (number, (preset, claim, printed)) in sets.into_iter().enumerate() {
        let claim = claims.get(claim)?;
        let memory = |tables| ModelMemory::new(preset.table_rows(), preset.embedding_dim(), tables, 32);
        let (mut bars, mut holds, mut ours) = (Vec::new(), true, Vec::new());
        for (place, tables) in [0, 3, 5, 7].into_iter().enumerate() {
            let memory = memory(tables).map_err(|error| error.to_string())?;
            bars.push([place as f64, memory.compressed_bytes as f64]);
            let paper: Option<f64> = place.checked_sub(1).map(|place| printed[place]);
            if let Some(paper) = paper {
                // A printed 4 may be anything from 3.5 to 4.5.
                let rounding = if paper.fract() == 0.0 { 0.5 } else { 0.05 };
                holds &= (memory.ratio - paper).abs() <= (claim.within * paper).max(rounding);
                ours.push(format!("{:.2}", memory.ratio));
            }
            let printed = paper.map_or(String::new(), |paper| paper.to_string());
            let bytes = memory.compressed_bytes.to_string();
            rows.push(vec![preset.to_string(), tables.to_string(), bytes, format!("{:.2}", memory.ratio), printed]);
        }
        chart.series.push(Series::new(preset.to_string(), Mark::Bars, number, bars));
        found.judge(claim, holds, format!("{} times", ours.join(", ")));
    }
    found.picture(
        "fig5",
        "Bytes of all embedding tables, in 32-bit floating point, by the number of tensor trains.",
        chart,
    );
    found.table("fig5", "The same in numbers.", &["model", "tables", "bytes", "times smaller", "paper"], rows);
    found.notes.push(
        "The paper gives 117 and 112 times for the same 18 MB of the Kaggle model, and 112 and 95.5 times for Terabyte: \
         117 and 95.5 are what its shapes come to."
            .to_owned(),
    );
    Ok(found)
}
