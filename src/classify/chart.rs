//! Accuracy over `k`, as a picture.

use std::fmt::Write;

use super::Curve;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
/// Room for the axes' numbers on the left and below, and on the other sides.
const LEFT: f64 = 64.0;
const BELOW: f64 = 48.0;
const EDGE: f64 = 24.0;

/// The curve as an SVG of its own, titled `title`; its colours follow the reader's light or dark mode.
pub fn chart(curve: &Curve, title: &str) -> String {
    let (first, last) = match (curve.points.first(), curve.points.last()) {
        (Some(first), Some(last)) => (first.k as f64, last.k as f64),
        _ => (1.0, 1.0),
    };
    let top = curve.points.iter().map(|p| p.accuracy).fold(0.0, f64::max);
    let step = steps(top);
    let most = ((top / step).ceil() * step).max(step);
    let span = (last - first).max(1.0);
    let x = |k: f64| LEFT + (k - first) / span * (WIDTH - LEFT - EDGE);
    let y = |accuracy: f64| HEIGHT - BELOW - accuracy / most * (HEIGHT - BELOW - 2.0 * EDGE);
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
         <title>{0}</title>\n<style>svg{{background:#fff;color:#222;font:13px sans-serif}}\
         text{{fill:currentColor}}.g{{stroke:currentColor;opacity:.2}}\
         .c{{fill:none;stroke:#1f6feb;stroke-width:2}}.b{{fill:#1f6feb}}\
         @media(prefers-color-scheme:dark){{svg{{background:#111;color:#ddd}}}}</style>\n\
         <text x=\"{LEFT}\" y=\"{EDGE}\">{0}</text>",
        escaped(title)
    );
    let lines = (most / step).round() as usize;
    for line in 0..=lines {
        let value = line as f64 * step;
        let at = y(value);
        let _ = writeln!(
            svg,
            "<line class=\"g\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{:.0} %</text>",
            WIDTH - EDGE,
            LEFT - 8.0,
            at + 4.0,
            value * 100.0
        );
    }
    for k in ticks(first as usize, last as usize) {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{k}</text>",
            x(k as f64),
            HEIGHT - BELOW + 20.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">k, neighbours that vote</text>",
        (LEFT + WIDTH - EDGE) / 2.0,
        HEIGHT - 8.0
    );
    let points = curve.points.iter();
    let points = points.map(|p| format!("{:.1},{:.1}", x(p.k as f64), y(p.accuracy)));
    let points: Vec<String> = points.collect();
    let _ = writeln!(
        svg,
        "<polyline class=\"c\" points=\"{}\"/>",
        points.join(" ")
    );
    if let Some(best) = curve.best() {
        let (at, up) = (x(best.k as f64), y(best.accuracy));
        let _ = writeln!(
            svg,
            "<circle class=\"b\" cx=\"{at:.1}\" cy=\"{up:.1}\" r=\"4\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">k = {}: {:.2} %</text>",
            at.min(WIDTH - 160.0) + 8.0,
            up - 8.0,
            best.k,
            best.accuracy * 100.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// A round step that divides `0..top` into a handful.
fn steps(top: f64) -> f64 {
    let all = [0.01, 0.02, 0.05, 0.1, 0.2];
    let fits = all.iter().find(|&&step| top / step <= 6.0);
    fits.copied().unwrap_or(0.2)
}

/// The numbers under the axis: at most a dozen.
fn ticks(first: usize, last: usize) -> Vec<usize> {
    let every = [1, 2, 5, 10, 20, 50, 100, 200];
    let fits = every.iter().find(|&&step| (last - first) / step <= 11);
    let step = fits.copied().unwrap_or(200);
    (first..=last)
        .filter(|k| *k == first || k % step == 0)
        .collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::Point;
    use super::*;

    #[test]
    fn the_best_point_is_marked_and_names_are_escaped() {
        let point = |k, right| Point {
            k,
            right,
            accuracy: right as f64 / 100.0,
        };
        let curve = Curve {
            rows: 100,
            answerable: 90,
            points: vec![point(1, 40), point(2, 59), point(3, 59)],
        };
        let svg = chart(&curve, "a <b> & c");
        assert!(svg.contains("k = 2: 59.00 %") && svg.contains("a &lt;b&gt; &amp; c"));
        assert!(!svg.contains("NaN") && svg.matches("<polyline").count() == 1);
        assert_eq!(ticks(1, 100), [1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
        assert_eq!(steps(0.59), 0.1);
        let none = Curve {
            rows: 0,
            answerable: 0,
            points: Vec::new(),
        };
        assert!(chart(&none, "").ends_with("</svg>\n"));
    }
}
