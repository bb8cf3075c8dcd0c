//! What a chart shows.

use std::fmt;

/// A chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Above it.
    pub title: String,
    /// Below the title, smaller: on what, how.
    pub subtitle: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What is drawn, the first at the bottom.
    pub series: Vec<Series>,
    /// Lines to compare with.
    pub rules: Vec<Rule>,
}

/// An axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What it measures, with the unit.
    pub label: String,
    /// Whether it is logarithmic: numbers that are not positive are left out then.
    pub log: bool,
    /// From where to where; what the points need if it is not given.
    pub range: Option<[f64; 2]>,
    /// Names of categories at 0, 1, 2, .. instead of numbers.
    pub categories: Option<Vec<String>>,
}

/// Points that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// In the legend; nothing is there for an empty name.
    pub name: String,
    /// How they are drawn.
    pub mark: Mark,
    /// Number of the colour.
    pub colour: usize,
    /// Lighter than others: single runs beside their mean.
    pub faint: bool,
    /// `[x, y]`; those that are not finite are left out.
    pub points: Vec<[f64; 2]>,
}

/// How points are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A line through all.
    Line,
    /// A dashed line.
    Dashed,
    /// Markers.
    Dots(Shape),
    /// A line and markers.
    LineDots(Shape),
    /// Bars from zero, side by side with those of other series.
    Bars,
}

/// The form of a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A disc.
    Circle,
    /// A square.
    Square,
    /// A triangle.
    Triangle,
    /// A square on its corner.
    Diamond,
    /// Two crossed lines.
    Cross,
}

/// A line to compare with.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Where on its axis.
    pub at: f64,
    /// Whether it goes up and down, at a number of the horizontal axis.
    pub vertical: bool,
    /// Beside it.
    pub label: String,
}

/// A chart that cannot be drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlotError {
    /// No point of it can be shown.
    Empty {
        /// Its title.
        title: String,
    },
    /// There is no room.
    Size {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// It could not be drawn.
    Draw(String),
}

impl Shape {
    /// All of them, to be taken in turns.
    pub const ALL: [Self; 5] = [Self::Circle, Self::Square, Self::Triangle, Self::Diamond, Self::Cross];

    /// That of series `number`.
    pub fn of(number: usize) -> Self {
        Self::ALL[number % Self::ALL.len()]
    }
}

impl Axis {
    /// From the least number to the largest.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), log: false, range: None, categories: None }
    }

    /// The same, logarithmic.
    pub fn log(label: impl Into<String>) -> Self {
        Self { log: true, ..Self::linear(label) }
    }

    /// Categories at 0, 1, 2, ..
    pub fn of(label: impl Into<String>, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { categories: Some(names.into_iter().map(Into::into).collect()), ..Self::linear(label) }
    }

    /// From and to given numbers.
    pub fn within(self, low: f64, high: f64) -> Self {
        Self { range: Some([low, high]), ..self }
    }
}

impl Chart {
    /// An empty chart.
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self { title: title.into(), subtitle: String::new(), x, y, series: Vec::new(), rules: Vec::new() }
    }

    /// The points that can be shown.
    pub(super) fn points<'a>(&'a self, series: &'a Series) -> impl Iterator<Item = [f64; 2]> + 'a {
        let fits = |axis: &Axis, x: f64| x.is_finite() && (!axis.log || x > 0.0);
        series.points.iter().copied().filter(move |&[x, y]| fits(&self.x, x) && fits(&self.y, y))
    }
}

impl Series {
    /// Points with a name, a mark and a colour.
    pub fn new(name: impl Into<String>, mark: Mark, colour: usize, points: Vec<[f64; 2]>) -> Self {
        Self { name: name.into(), mark, colour, faint: false, points }
    }

    /// The same, lighter and not in the legend.
    pub fn faint(mark: Mark, colour: usize, points: Vec<[f64; 2]>) -> Self {
        Self { faint: true, ..Self::new("", mark, colour, points) }
    }
}

impl fmt::Display for PlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { title } => write!(f, "there is nothing to show in {title:?}"),
            Self::Size { width, height } => write!(f, "{width} x {height} pixels are too few for a chart"),
            Self::Draw(reason) => write!(f, "the chart could not be drawn: {reason}"),
        }
    }
}

impl std::error::Error for PlotError {}
