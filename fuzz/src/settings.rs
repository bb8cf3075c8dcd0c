//! The file of tables: TOML to settings of a run.

use dlrm::presets::Preset;
use dlrm::train::{Hyperparameters, RowInit, TableOverride, TableSettings, TrainSettings, TtOverride, parse_tables};
use ttcore::Rule;

/// Rows of the tables that the settings are for.
const ROWS: [u64; 6] = [1, 2, 97, 1460, 100_000, 10_131_227];

/// Reads a file of tables, and decides everything for a model with such tables.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let tables = match parse_tables(text) {
        Ok(tables) => tables,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    for table in tables.values() {
        if let TableOverride::Tt(TtOverride { lr_multiplier, cache_fraction, .. }) = table {
            assert!(lr_multiplier.is_none_or(|multiplier| multiplier >= 0.0 && multiplier.is_finite()));
            assert!(cache_fraction.is_none_or(|fraction| (0.0..=1.0).contains(&fraction)));
        }
    }
    let mut settings = TrainSettings::new(Preset::Kaggle);
    settings.tt.tables = 0;
    settings.tables = tables;
    let resolved = match settings.resolve(&ROWS, 1000) {
        Ok(resolved) => resolved,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert_eq!(resolved.tables.len(), ROWS.len());
    for (number, table) in resolved.tables.iter().enumerate() {
        assert_eq!(table.rows(), ROWS[number]);
        match settings.tables.get(&number) {
            None => {
                assert_eq!(*table, TableSettings::Dense { rows: ROWS[number], frozen: false, init: RowInit::Reference })
            }
            Some(&TableOverride::Dense { frozen }) => {
                assert_eq!(*table, TableSettings::Dense { rows: ROWS[number], frozen, init: RowInit::Reference });
            }
            Some(TableOverride::Tt(asked)) => holds(table, asked),
            Some(&TableOverride::Within { bytes, .. }) => {
                let config = table.config(resolved.dim, Rule::Sgd).expect("a table");
                assert!(config.table().parameters() as u64 * 4 <= bytes, "{table:?} in {bytes} bytes");
            }
        }
    }
    // As in a checkpoint.
    let text = serde_json::to_string(&resolved).expect("plain data");
    assert_eq!(serde_json::from_str::<Hyperparameters>(&text).expect("the same"), resolved);
}

/// That a table is held as it was asked for.
fn holds(table: &TableSettings, asked: &TtOverride) {
    let TableSettings::Tt { rows, row_factors, ranks, lr_multiplier, cached_rows, init, scale, rule, frozen, .. } =
        table
    else {
        panic!("{table:?} was to be a tensor train")
    };
    let inner = &ranks[1..ranks.len() - 1];
    match asked.ranks.as_deref() {
        None => {}
        Some(&[rank]) => assert!(inner.iter().all(|&r| r == rank)),
        Some(ranks) => assert_eq!(inner, ranks),
    }
    assert!(asked.row_factors.as_ref().is_none_or(|factors| factors == row_factors));
    assert!(row_factors.iter().map(|&m| m as u128).product::<u128>() >= u128::from(*rows));
    assert!(asked.lr_multiplier.is_none_or(|multiplier| multiplier == *lr_multiplier));
    assert!(asked.init.is_none_or(|name| name == *init) && asked.scale.is_none_or(|name| name == *scale));
    assert!(asked.rule.is_none_or(|name| name == *rule));
    assert!(asked.frozen.is_none_or(|value| value == *frozen));
    assert!(*cached_rows as u64 <= *rows);
    assert_eq!(*cached_rows > 0, asked.cache_fraction.is_some_and(|fraction| fraction > 0.0));
}
