//! Curves as SVG: they scale, they need no fonts of ours, and they can be compared line by line.

use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

use super::{Found, Measured};
use crate::eval::EvalError;
use crate::eval::curve::Point;
use crate::eval::faces::FaceResult;
use crate::eval::plates::Gate;

const SIZE: (u32, u32) = (760, 520);
/// Distinguishable with any colour vision (Okabe and Ito, 2008).
const COLOURS: [RGBColor; 3] = [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115)];
const GREY: RGBColor = RGBColor(110, 110, 110);

/// A named curve, and a point on it to be marked.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
    mark: Option<(f64, f64)>,
}

/// Texts and lines of a plot.
struct Drawing {
    title: String,
    across: &'static str,
    up: &'static str,
    lines: Vec<Line>,
    /// A vertical line here.
    at: Option<f64>,
    /// Where no curve is.
    legend: SeriesLabelPosition,
}

/// The plots of a set: what follows its name in the file's name, and the SVG.
pub(super) fn plots(set: &Measured) -> Result<Vec<(&'static str, String)>, EvalError> {
    match &set.found {
        Found::Plates(found) => Ok(vec![("thresholds", thresholds(&set.name, &found.gate)?)]),
        Found::Faces(found) => Ok(vec![("roc", roc(&set.name, found)?), ("det", det(&set.name, found)?)]),
        Found::Pad(_) => Ok(Vec::new()),
    }
}

/// Lowest rate on a logarithmic axis; what is lower, or none, lies on its edge.
const LOWEST: f64 = 1e-4;
/// Thresholds below this admit anything.
const LEAST_SCORE: f64 = -20.0;

fn thresholds(name: &str, gate: &Gate) -> Result<String, EvalError> {
    let shown: Vec<Point> = gate.curve.iter().copied().filter(|p| p.threshold >= LEAST_SCORE).collect();
    let lines = vec![
        line("false accept", &shown, |p| (p.threshold, p.false_accept.max(LOWEST))),
        line("false reject", &shown, |p| (p.threshold, p.false_reject.max(LOWEST))),
    ];
    let lowest = shown.first().map_or(0.0, |p| p.threshold).min(gate.stated.threshold);
    let highest = shown.last().map_or(1.0, |p| p.threshold).max(gate.stated.threshold) + 1.0;
    let drawing = Drawing {
        title: format!("{name}: decisions against {} near misses", gate.listed),
        across: "threshold of the match score",
        up: "share",
        lines,
        at: Some(gate.stated.threshold),
        legend: SeriesLabelPosition::LowerLeft,
    };
    draw(&drawing, lowest..highest, (LOWEST..1.0).log_scale(), &|v| format!("{v:.0}"))
}

fn roc(name: &str, found: &FaceResult) -> Result<String, EvalError> {
    let lines = face_lines(found, |p| (p.false_accept.max(LOWEST), 1.0 - p.false_reject));
    let lowest = lines.iter().flat_map(|line| &line.points).map(|p| p.1).fold(1.0_f64, f64::min);
    let drawing = Drawing {
        title: format!("{name}: ROC"),
        across: "false-match rate (1:N: false-positive identification rate)",
        up: "true accept rate",
        lines,
        at: None,
        legend: SeriesLabelPosition::LowerRight,
    };
    let floor = if lowest > 0.8 { 0.8 } else { (lowest * 10.0).floor() / 10.0 };
    draw(&drawing, (LOWEST..1.0).log_scale(), floor..1.0, &share)
}

fn det(name: &str, found: &FaceResult) -> Result<String, EvalError> {
    let drawing = Drawing {
        title: format!("{name}: DET"),
        across: "false-match rate (1:N: false-positive identification rate)",
        up: "false-non-match rate (1:N: false-negative identification rate)",
        lines: face_lines(found, |p| (p.false_accept.max(LOWEST), p.false_reject.max(LOWEST))),
        at: None,
        legend: SeriesLabelPosition::UpperRight,
    };
    draw(&drawing, (LOWEST..1.0).log_scale(), (LOWEST..1.0).log_scale(), &share)
}

fn face_lines(found: &FaceResult, place: impl Fn(&Point) -> (f64, f64)) -> Vec<Line> {
    let pairs = found.verification.as_ref().map(|v| ("listed pairs", &v.curve));
    let everyone = found.everyone.as_ref().map(|e| ("every portrait with every other", &e.curve));
    let search = found.search.as_ref().map(|s| ("1:N, open set", &s.curve));
    [pairs, everyone, search]
        .into_iter()
        .flatten()
        .map(|(name, curve)| {
            let at = curve.partition_point(|p| p.threshold < found.threshold).min(curve.len().saturating_sub(1));
            // beyond the first threshold that no impostor reaches, the curve would run down the edge
            let end = curve.partition_point(|p| p.false_accept >= LOWEST).min(curve.len().saturating_sub(1));
            Line { mark: curve.get(at).map(&place), ..line(name, &curve[..=end], &place) }
        })
        .collect()
}

fn line(name: &str, curve: &[Point], place: impl Fn(&Point) -> (f64, f64)) -> Line {
    Line { name: name.to_owned(), points: curve.iter().map(place).collect(), mark: None }
}

fn share(value: &f64) -> String {
    let percent = value * 100.0;
    if percent >= 1.0 { format!("{percent:.0} %") } else { format!("{percent} %") }
}

fn draw<X, Y>(drawing: &Drawing, x: X, y: Y, across: &dyn Fn(&f64) -> String) -> Result<String, EvalError>
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut svg = String::new();
    paint(drawing, x, y, across, &mut svg).map_err(|error| EvalError::Plot(error.to_string()))?;
    Ok(svg)
}

fn paint<X, Y>(
    drawing: &Drawing,
    x: X,
    y: Y,
    across: &dyn Fn(&f64) -> String,
    svg: &mut String,
) -> Result<(), Box<dyn std::error::Error>>
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(&drawing.title, ("sans-serif", 20))
        .margin(14)
        .margin_right(34)
        .x_label_area_size(44)
        .y_label_area_size(66)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .x_desc(drawing.across)
        .y_desc(drawing.up)
        .x_label_formatter(across)
        .y_label_formatter(&share)
        .light_line_style(RGBColor(238, 238, 238))
        .bold_line_style(RGBColor(215, 215, 215))
        .label_style(("sans-serif", 13))
        .draw()?;
    for (line, colour) in drawing.lines.iter().zip(COLOURS.iter().cycle()) {
        let style = ShapeStyle::from(colour).stroke_width(2);
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), style))?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], style));
        chart.draw_series(line.mark.iter().map(|at| Circle::new(*at, 5, colour.filled())))?;
    }
    if let Some(at) = drawing.at {
        let style = ShapeStyle::from(&GREY).stroke_width(1);
        chart
            .draw_series(LineSeries::new([(at, LOWEST), (at, 1.0)], style))?
            .label("manifest's threshold")
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], style));
    } else if drawing.lines.iter().any(|line| line.mark.is_some()) {
        chart
            .draw_series(std::iter::empty::<Circle<(f64, f64), i32>>())?
            .label("manifest's threshold")
            .legend(|(x, y)| Circle::new((x + 11, y), 5, GREY.filled()));
    }
    chart
        .configure_series_labels()
        .position(drawing.legend.clone())
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .label_font(("sans-serif", 13))
        .draw()?;
    root.present()?;
    Ok(())
}
