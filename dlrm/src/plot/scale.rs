//! From numbers to pixels, and where the ticks are.

use super::chart::Axis;

/// One axis of a chart on its way to pixels.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    log: bool,
    /// Of the axis, logarithms where it is logarithmic.
    low: f64,
    high: f64,
    /// Pixels where it begins and ends.
    from: f64,
    to: f64,
}

/// A tick: where, and its text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) text: String,
}

impl Scale {
    /// For numbers from `low` to `high`; `zero` if zero must be shown too.
    pub(super) fn new(axis: &Axis, numbers: impl Iterator<Item = f64>, zero: bool, pixels: [f64; 2]) -> Self {
        let position = |x: f64| if axis.log { x.log10() } else { x };
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for x in numbers.map(position) {
            (low, high) = (low.min(x), high.max(x));
        }
        if let Some(names) = &axis.categories {
            (low, high) = (-0.5, names.len() as f64 - 0.5);
        } else if let Some([from, to]) = axis.range {
            (low, high) = (position(from), position(to));
        } else {
            if zero && !axis.log {
                (low, high) = (low.min(0.0), high.max(0.0));
            }
            let margin = if high > low { 0.05 * (high - low) } else { (0.05 * low.abs()).max(0.05) };
            let keeps_zero = |end: f64| zero && end == 0.0;
            low -= if keeps_zero(low) { 0.0 } else { margin };
            high += if keeps_zero(high) { 0.0 } else { margin };
        }
        Self { log: axis.log, low, high, from: pixels[0], to: pixels[1] }
    }

    /// The pixel of a number.
    pub(super) fn pixel(&self, x: f64) -> f64 {
        let x = if self.log { x.log10() } else { x };
        self.from + (x - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Whether a number is within the axis.
    pub(super) fn holds(&self, x: f64) -> bool {
        let x = if self.log { x.log10() } else { x };
        x >= self.low - 1e-9 && x <= self.high + 1e-9
    }

    /// About `wanted` ticks.
    pub(super) fn ticks(&self, axis: &Axis, wanted: usize) -> Vec<Tick> {
        if let Some(names) = &axis.categories {
            return names.iter().enumerate().map(|(at, text)| Tick { at: at as f64, text: text.clone() }).collect();
        }
        if self.log { self.log_ticks(wanted) } else { self.linear_ticks(wanted) }
    }

    fn linear_ticks(&self, wanted: usize) -> Vec<Tick> {
        let rough = (self.high - self.low) / wanted.max(1) as f64;
        let magnitude = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|k| k * magnitude).into_iter().find(|&step| step >= rough);
        let step = step.unwrap_or(10.0 * magnitude);
        let digits = (-step.log10().floor()).max(0.0) as usize;
        let count = ((self.high - self.low) / step) as i64 + 2;
        let first = (self.low / step).ceil();
        let ticks = (0..count).map(|k| (first + k as f64) * step).filter(|&at| at <= self.high + 1e-9 * step);
        ticks.map(|at| Tick { at, text: number(at, digits) }).collect()
    }

    fn log_ticks(&self, wanted: usize) -> Vec<Tick> {
        let decades = self.high - self.low;
        // In few decades, between them too.
        let within: &[f64] = if decades < 1.2 {
            &[1.0, 2.0, 3.0, 5.0, 7.0]
        } else if decades < 2.5 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        let every = ((decades / wanted.max(1) as f64).ceil() as i64).max(1);
        let (first, last) = (self.low.floor() as i64, self.high.ceil() as i64);
        let exponents = (first..=last).filter(|k| k.rem_euclid(every) == 0);
        let all = exponents.flat_map(|k| within.iter().map(move |m| m * 10f64.powi(k as i32)));
        all.filter(|&at| self.holds(at)).map(|at| Tick { at, text: short(at) }).collect()
    }
}

/// With so many digits behind the point, and a minus that is one.
fn number(x: f64, digits: usize) -> String {
    if digits == 0 && x.abs() >= 1e4 {
        return short(x);
    }
    let text = format!("{x:.digits$}");
    // Minus zero is zero.
    if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') {
        text.trim_start_matches('-').into()
    } else {
        text
    }
}

/// With k, M, G for thousands, millions, thousand millions.
fn short(x: f64) -> String {
    let units = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    let (value, unit) =
        units.into_iter().find(|(unit, _)| x.abs() >= *unit).map_or((x, ""), |(by, name)| (x / by, name));
    let text = format!("{value:.3}");
    let text = if x.abs() < 1e-3 && x != 0.0 { format!("{x:.0e}") } else { text };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis, numbers: [f64; 2]) -> Vec<String> {
        let scale = Scale::new(axis, numbers.into_iter(), false, [0.0, 100.0]);
        scale.ticks(axis, 5).into_iter().map(|tick| tick.text).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(texts(&Axis::linear(""), [0.0, 1.0]), ["0.0", "0.5", "1.0"]);
        assert_eq!(texts(&Axis::linear(""), [0.7941, 0.8012]), ["0.794", "0.796", "0.798", "0.800"]);
        assert_eq!(texts(&Axis::linear("").within(-2.0, 2.0), [0.0, 0.0]), ["-2", "-1", "0", "1", "2"]);
        assert_eq!(texts(&Axis::log(""), [1e3, 1e7]), ["1k", "10k", "100k", "1M", "10M"]);
        assert_eq!(texts(&Axis::log(""), [0.02, 0.3]), ["0.02", "0.05", "0.1", "0.2"]);
        assert_eq!(texts(&Axis::of("", ["a", "b"]), [0.0, 1.0]), ["a", "b"]);
    }

    #[test]
    fn a_single_number_has_an_axis_too() {
        for number in [0.0, 5.0, -3.0] {
            let axis = Axis::linear("");
            let scale = Scale::new(&axis, [number].into_iter(), false, [0.0, 100.0]);
            assert!((scale.pixel(number) - 50.0).abs() < 1e-9);
            assert!(!scale.ticks(&axis, 5).is_empty());
        }
    }
}
