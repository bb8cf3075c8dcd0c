//! Drawing.

use std::fmt::Display;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::chart::{Chart, Mark, PlotError, Series, Shape};
use super::scale::Scale;

/// Of Okabe and Ito, without yellow, which is too light on white, and three more.
const PALETTE: [(u8, u8, u8); 10] = [
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
    (0, 0, 0),
    (130, 130, 130),
    (120, 70, 20),
    (90, 50, 150),
];

/// Pixels around the plot: above, below, left; those on the right depend on the legend.
const TOP: f64 = 54.0;
const BOTTOM: f64 = 52.0;
const LEFT: f64 = 70.0;
const LEGEND_LINE: f64 = 19.0;
/// About how wide a letter of the legend is.
const LETTER: f64 = 6.6;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

impl Chart {
    /// The chart as SVG of so many pixels.
    ///
    /// # Errors
    ///
    /// [`PlotError`] if there is nothing to show, or no room for it.
    pub fn svg(&self, width: u32, height: u32) -> Result<String, PlotError> {
        let legend = self.series.iter().filter(|series| !series.name.is_empty());
        let letters = legend.map(|series| series.name.chars().count()).max();
        let right = letters.map_or(18.0, |letters| 44.0 + LETTER * letters as f64);
        let (left, top) = (LEFT, TOP);
        let (end, bottom) = (f64::from(width) - right, f64::from(height) - BOTTOM);
        if end - left < 60.0 || bottom - top < 40.0 {
            return Err(PlotError::Size { width, height });
        }
        if self.series.iter().all(|series| self.points(series).next().is_none()) {
            return Err(PlotError::Empty { title: self.title.clone() });
        }
        let bars = self.series.iter().any(|series| series.mark == Mark::Bars);
        let numbers = |axis: usize| {
            let points = self.series.iter().flat_map(|series| self.points(series)).map(move |point| point[axis]);
            points.chain(self.rules.iter().filter(move |rule| rule.vertical == (axis == 0)).map(|rule| rule.at))
        };
        let x = Scale::new(&self.x, numbers(0), false, [left, end]);
        let y = Scale::new(&self.y, numbers(1), bars, [bottom, top]);
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
            let canvas = Canvas { area: &area, x, y, frame: [left, top, end, bottom] };
            canvas.chart(self).map_err(|error| PlotError::Draw(error.to_string()))?;
            area.present().map_err(|error| PlotError::Draw(error.to_string()))?;
        }
        Ok(svg)
    }
}

/// Where things are drawn.
struct Canvas<'a, 'b> {
    area: &'a Area<'b>,
    x: Scale,
    y: Scale,
    /// Left, top, right and bottom of the plot.
    frame: [f64; 4],
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn at(x: f64, y: f64) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

fn colour(series: &Series) -> RGBAColor {
    let (r, g, b) = PALETTE[series.colour % PALETTE.len()];
    RGBColor(r, g, b).mix(if series.faint { 0.45 } else { 1.0 })
}

impl Canvas<'_, '_> {
    fn chart(&self, chart: &Chart) -> Drawn {
        self.area.fill(&WHITE)?;
        let [left, top, right, bottom] = self.frame;
        let grey = RGBColor(225, 225, 225);
        let wanted = ((right - left) / 90.0) as usize;
        for tick in self.x.ticks(&chart.x, wanted) {
            let x = self.x.pixel(tick.at);
            if chart.x.categories.is_none() {
                self.path(&[(x, top), (x, bottom)], grey.stroke_width(1))?;
            }
            self.text(&tick.text, (x, bottom + 6.0), (HPos::Center, VPos::Top), 12.0)?;
        }
        for tick in self.y.ticks(&chart.y, ((bottom - top) / 45.0) as usize) {
            let y = self.y.pixel(tick.at);
            self.path(&[(left, y), (right, y)], grey.stroke_width(1))?;
            self.text(&tick.text, (left - 6.0, y), (HPos::Right, VPos::Center), 12.0)?;
        }
        let [mut bar, bars] = [0, chart.series.iter().filter(|series| series.mark == Mark::Bars).count()];
        for series in &chart.series {
            if series.mark == Mark::Bars {
                self.bars(chart, series, (bar, bars))?;
                bar += 1;
            } else {
                self.series(chart, series)?;
            }
        }
        let dark = RGBColor(90, 90, 90);
        for rule in &chart.rules {
            let (x, y) = (self.x.pixel(rule.at), self.y.pixel(rule.at));
            if rule.vertical && self.x.holds(rule.at) {
                self.dashes((x, bottom), (x, top), dark.to_rgba())?;
                self.text(&rule.label, (x + 4.0, top + 2.0), (HPos::Left, VPos::Top), 11.0)?;
            } else if !rule.vertical && self.y.holds(rule.at) {
                self.dashes((left, y), (right, y), dark.to_rgba())?;
                self.text(&rule.label, (right - 4.0, y - 3.0), (HPos::Right, VPos::Bottom), 11.0)?;
            }
        }
        self.path(&[(left, top), (left, bottom), (right, bottom)], BLACK.stroke_width(1))?;
        self.text(&chart.title, (left, 8.0), (HPos::Left, VPos::Top), 16.0)?;
        self.text(&chart.subtitle, (left, 30.0), (HPos::Left, VPos::Top), 12.0)?;
        self.text(&chart.x.label, (0.5 * (left + right), bottom + 28.0), (HPos::Center, VPos::Top), 13.0)?;
        let style = ("sans-serif", 13.0).into_text_style(self.area).transform(FontTransform::Rotate270);
        let style = style.pos(Pos::new(HPos::Center, VPos::Top));
        self.area.draw(&Text::new(chart.y.label.clone(), at(10.0, 0.5 * (top + bottom)), style))?;
        self.legend(chart)
    }

    fn legend(&self, chart: &Chart) -> Drawn {
        let [_, top, right, _] = self.frame;
        for (line, series) in chart.series.iter().filter(|series| !series.name.is_empty()).enumerate() {
            let (x, y) = (right + 12.0, top + 8.0 + LEGEND_LINE * line as f64);
            match series.mark {
                Mark::Bars => self.bar((x, y - 5.0), (x + 18.0, y + 5.0), series)?,
                Mark::Dashed => self.dashes((x, y), (x + 18.0, y), colour(series))?,
                Mark::Line | Mark::LineDots(_) => {
                    self.path(&[(x, y), (x + 18.0, y)], colour(series).stroke_width(2))?;
                }
                Mark::Dots(_) => {}
            }
            if let Mark::Dots(shape) | Mark::LineDots(shape) = series.mark {
                self.marker(shape, (x + 9.0, y), series)?;
            }
            self.text(&series.name, (x + 24.0, y), (HPos::Left, VPos::Center), 12.0)?;
        }
        Ok(())
    }

    fn series(&self, chart: &Chart, series: &Series) -> Drawn {
        let inside = |&[x, y]: &[f64; 2]| self.x.holds(x) && self.y.holds(y);
        let pixels: Vec<(f64, f64)> =
            chart.points(series).filter(inside).map(|[x, y]| (self.x.pixel(x), self.y.pixel(y))).collect();
        match series.mark {
            Mark::Line | Mark::LineDots(_) => {
                self.path(&pixels, colour(series).stroke_width(if series.faint { 1 } else { 2 }))?;
            }
            Mark::Dashed => {
                for pair in pixels.windows(2) {
                    self.dashes(pair[0], pair[1], colour(series))?;
                }
            }
            Mark::Dots(_) | Mark::Bars => {}
        }
        if let Mark::Dots(shape) | Mark::LineDots(shape) = series.mark {
            pixels.iter().try_for_each(|&pixel| self.marker(shape, pixel, series))?;
        }
        Ok(())
    }

    fn bars(&self, chart: &Chart, series: &Series, (number, of): (usize, usize)) -> Drawn {
        let zero = if chart.y.log { self.frame[3] } else { self.y.pixel(0.0) };
        let wide = 0.8 / of as f64;
        for [x, y] in chart.points(series) {
            let left = x - 0.4 + wide * number as f64;
            let (left, right) = (self.x.pixel(left) + 1.0, self.x.pixel(left + wide) - 1.0);
            self.bar((left, self.y.pixel(y)), (right, zero), series)?;
        }
        Ok(())
    }

    fn bar(&self, from: (f64, f64), to: (f64, f64), series: &Series) -> Drawn {
        let corners = [at(from.0, from.1), at(to.0, to.1)];
        Ok(self.area.draw(&Rectangle::new(corners, colour(series).filled()))?)
    }

    fn marker(&self, shape: Shape, (x, y): (f64, f64), series: &Series) -> Drawn {
        let r = if series.faint { 3.0 } else { 4.5 };
        let style = colour(series).filled();
        let polygon = |corners: &[(f64, f64)]| {
            Polygon::new(corners.iter().map(|(dx, dy)| at(x + r * dx, y + r * dy)).collect::<Vec<_>>(), style)
        };
        match shape {
            Shape::Circle => self.area.draw(&Circle::new(at(x, y), r as i32, style))?,
            Shape::Square => self.area.draw(&polygon(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]))?,
            Shape::Triangle => self.area.draw(&polygon(&[(0.0, -1.2), (1.1, 0.9), (-1.1, 0.9)]))?,
            Shape::Diamond => self.area.draw(&polygon(&[(0.0, -1.2), (1.2, 0.0), (0.0, 1.2), (-1.2, 0.0)]))?,
            Shape::Cross => {
                let line = colour(series).stroke_width(2);
                self.path(&[(x - r, y - r), (x + r, y + r)], line)?;
                self.path(&[(x - r, y + r), (x + r, y - r)], line)?;
            }
        }
        Ok(())
    }

    fn path(&self, pixels: &[(f64, f64)], style: ShapeStyle) -> Drawn {
        let pixels: Vec<(i32, i32)> = pixels.iter().map(|&(x, y)| at(x, y)).collect();
        Ok(self.area.draw(&PathElement::new(pixels, style))?)
    }

    fn dashes(&self, from: (f64, f64), to: (f64, f64), colour: RGBAColor) -> Drawn {
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let along = |way: f64| {
            let share = if length > 0.0 { way.min(length) / length } else { 0.0 };
            (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1))
        };
        for dash in 0..(length / 9.0).ceil() as usize {
            let start = 9.0 * dash as f64;
            self.path(&[along(start), along(start + 5.0)], colour.stroke_width(1))?;
        }
        Ok(())
    }

    fn text(&self, text: &impl Display, (x, y): (f64, f64), (h, v): (HPos, VPos), size: f64) -> Drawn {
        let style = ("sans-serif", size).into_text_style(self.area).pos(Pos::new(h, v));
        Ok(self.area.draw(&Text::new(text.to_string(), at(x, y), style))?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Axis, Rule};
    use super::*;

    fn chart() -> Chart {
        let mut chart = Chart::new("a < b & \"c\"", Axis::log("bytes"), Axis::linear("AUC"));
        for (number, &shape) in Shape::ALL.iter().enumerate() {
            let points = (1..5).map(|k| [10f64.powi(k), 0.5 + 0.1 * f64::from(k) / (number + 1) as f64]).collect();
            chart.series.push(Series::new(format!("series {number}"), Mark::LineDots(shape), number, points));
        }
        chart.rules.push(Rule { at: 0.6, vertical: false, label: "uncompressed".into() });
        chart
    }

    #[test]
    fn a_chart_is_drawn_with_its_texts_escaped_and_always_the_same() {
        let svg = chart().svg(640, 400).unwrap();
        assert_eq!(svg, chart().svg(640, 400).unwrap());
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains("a &lt; b &amp; ") && !svg.contains("a < b"));
        for text in ["bytes", "AUC", "series 4", "uncompressed"] {
            assert!(svg.contains(text), "{text}");
        }
        assert_eq!(svg.matches("<circle").count(), 4 + 1, "four points and the legend");
    }

    #[test]
    fn what_cannot_be_shown_is_left_out_or_refused() {
        let mut bad = chart();
        bad.series.truncate(1);
        bad.series[0].points = vec![[0.0, 1.0], [f64::NAN, 1.0], [1.0, f64::INFINITY]];
        assert_eq!(bad.svg(640, 400), Err(PlotError::Empty { title: bad.title.clone() }));
        bad.series[0].points.push([10.0, 1.0]);
        assert!(bad.svg(640, 400).is_ok());
        assert_eq!(chart().svg(100, 50), Err(PlotError::Size { width: 100, height: 50 }));
    }

    #[test]
    fn bars_stand_side_by_side() {
        let mut chart = Chart::new("", Axis::of("tables", ["3", "5"]), Axis::linear("times"));
        for number in 0..2 {
            chart.series.push(Series::new("bars", Mark::Bars, number, vec![[0.0, 4.0], [1.0, 48.0]]));
        }
        let svg = chart.svg(640, 400).unwrap();
        // The background, four bars and two in the legend.
        assert_eq!(svg.matches("<rect").count(), 7);
    }
}
