//! A drawing as a list of marks, each a shape with a colour: it has no pixels, so a picture of any
//! size and any angle is made from it without blurring.

use super::font;

/// Red, green and blue from 0 to 255.
pub(super) type Colour = [f32; 3];

/// Marks in a square from -1 to 1, x to the right and y down; later ones cover earlier ones.
#[derive(Debug, Default)]
pub(super) struct Art {
    marks: Vec<Mark>,
}

#[derive(Debug)]
struct Mark {
    at: [f32; 2],
    form: Form,
    fill: Fill,
    /// Half sides of the box outside of which there is nothing.
    reach: [f32; 2],
}

#[derive(Debug)]
enum Form {
    /// Half sides and the radius of the corners.
    Rect([f32; 2], f32),
    /// Half axes.
    Oval([f32; 2]),
    /// Half the width at the top and at the bottom, and half the height.
    Trapeze(f32, f32, f32),
    /// The radius and half the width of the line.
    Ring(f32, f32),
    /// From the place to another, with half the width.
    Bar([f32; 2], f32),
    /// Letters with the side of a dot.
    Text(Vec<[u8; font::HIGH]>, f32),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Fill {
    Plain(Colour),
    /// Stripes across, of a width.
    Across(Colour, Colour, f32),
    /// Stripes down, of a width.
    Down(Colour, Colour, f32),
    /// Dots on a ground, at a distance.
    Dots(Colour, Colour, f32),
    /// Squares, of a side.
    Squares(Colour, Colour, f32),
    /// From the left to the right, as on something round: dark, light, dark.
    Round(Colour, f32),
    /// From the top to the bottom.
    Fade(Colour, Colour, f32),
}

impl Art {
    fn push(&mut self, at: [f32; 2], form: Form, fill: Fill, reach: [f32; 2]) {
        let mark = Mark {
            at,
            form,
            fill,
            reach: reach.map(|r| r + 0.06),
        };
        self.marks.push(mark);
    }

    pub(super) fn rect(&mut self, x: f32, y: f32, hx: f32, hy: f32, round: f32, fill: Fill) {
        let round = round.min(hx).min(hy);
        self.push([x, y], Form::Rect([hx, hy], round), fill, [hx, hy]);
    }

    pub(super) fn oval(&mut self, x: f32, y: f32, rx: f32, ry: f32, fill: Fill) {
        self.push([x, y], Form::Oval([rx, ry]), fill, [rx, ry]);
    }

    pub(super) fn trapeze(&mut self, x: f32, y: f32, top: f32, bottom: f32, hy: f32, fill: Fill) {
        let reach = [top.max(bottom), hy];
        self.push([x, y], Form::Trapeze(top, bottom, hy), fill, reach);
    }

    pub(super) fn ring(&mut self, x: f32, y: f32, radius: f32, half: f32, fill: Fill) {
        let reach = radius + half;
        self.push([x, y], Form::Ring(radius, half), fill, [reach, reach]);
    }

    pub(super) fn bar(&mut self, from: [f32; 2], to: [f32; 2], half: f32, fill: Fill) {
        let way = [to[0] - from[0], to[1] - from[1]];
        let reach = way.map(|w| w.abs() + half);
        self.push(from, Form::Bar(way, half), fill, reach);
    }

    /// Letters about `x`, `y`, at most `wide` and `high`.
    pub(super) fn text(&mut self, x: f32, y: f32, wide: f32, high: f32, text: &str, fill: Fill) {
        let letters: Vec<_> = text.bytes().map(font::rows).collect();
        let across = (letters.len() * (font::WIDE + 1)).max(1) as f32;
        let dot = (wide / across).min(high / font::HIGH as f32);
        let reach = [across * dot / 2.0, font::HIGH as f32 * dot / 2.0];
        self.push([x, y], Form::Text(letters, dot), fill, reach);
    }

    /// The colour at a place over what is behind it. `pixel` is the side of a pixel.
    #[inline]
    pub(super) fn over(&self, behind: Colour, x: f32, y: f32, pixel: f32) -> Colour {
        let mut colour = behind;
        for mark in &self.marks {
            let (dx, dy) = (x - mark.at[0], y - mark.at[1]);
            if dx.abs() > mark.reach[0] || dy.abs() > mark.reach[1] {
                continue;
            }
            let covered = (0.5 - mark.form.outside(dx, dy) / pixel).clamp(0.0, 1.0);
            if covered > 0.0 {
                colour = blend(colour, mark.fill.at(dx, dy), covered);
            }
        }
        colour
    }
}

impl Form {
    /// How far a place is outside; negative inside.
    #[inline]
    fn outside(&self, x: f32, y: f32) -> f32 {
        match *self {
            Form::Rect([hx, hy], round) => {
                let (qx, qy) = (x.abs() - hx + round, y.abs() - hy + round);
                let (ox, oy) = (qx.max(0.0), qy.max(0.0));
                (ox * ox + oy * oy).sqrt() + qx.max(qy).min(0.0) - round
            }
            Form::Oval([rx, ry]) => {
                let (a, b) = (x / rx, y / ry);
                ((a * a + b * b).sqrt() - 1.0) * rx.min(ry)
            }
            Form::Trapeze(top, bottom, hy) => {
                let side = top + (bottom - top) * ((y + hy) / (2.0 * hy)).clamp(0.0, 1.0);
                (x.abs() - side).max(y.abs() - hy)
            }
            Form::Ring(radius, half) => ((x * x + y * y).sqrt() - radius).abs() - half,
            Form::Bar([wx, wy], half) => {
                let along = ((x * wx + y * wy) / (wx * wx + wy * wy + 1e-9)).clamp(0.0, 1.0);
                let (ox, oy) = (x - along * wx, y - along * wy);
                (ox * ox + oy * oy).sqrt() - half
            }
            Form::Text(ref letters, dot) => {
                let step = font::WIDE + 1;
                let column = x / dot + (letters.len() * step) as f32 / 2.0;
                let row = y / dot + font::HIGH as f32 / 2.0;
                if column < 0.0 || row < 0.0 || row >= font::HIGH as f32 {
                    return 1.0;
                }
                let (column, row) = (column as usize, row as usize);
                let dots = letters.get(column / step).map_or(0, |l| l[row]);
                match column % step {
                    c if c < font::WIDE && dots >> (font::WIDE - 1 - c) & 1 == 1 => -1.0,
                    _ => 1.0,
                }
            }
        }
    }
}

impl Fill {
    #[inline]
    fn at(&self, x: f32, y: f32) -> Colour {
        let odd = |v: f32, side: f32| (v / side).floor() as i32 & 1 != 0;
        match *self {
            Fill::Plain(c) => c,
            Fill::Across(a, b, side) => {
                if odd(y, side) {
                    b
                } else {
                    a
                }
            }
            Fill::Down(a, b, side) => {
                if odd(x, side) {
                    b
                } else {
                    a
                }
            }
            Fill::Squares(a, b, side) => {
                if odd(x, side) != odd(y, side) {
                    b
                } else {
                    a
                }
            }
            Fill::Dots(a, b, side) => {
                let near = |v: f32| v / side - (v / side).floor() - 0.5;
                let (dx, dy) = (near(x), near(y));
                if dx * dx + dy * dy < 0.09 { b } else { a }
            }
            Fill::Round(c, half) => {
                let t = (x / half + 0.3).clamp(-1.3, 1.3);
                shade(c, 1.12 - 0.3 * t * t)
            }
            Fill::Fade(a, b, half) => blend(a, b, (y / half * 0.5 + 0.5).clamp(0.0, 1.0)),
        }
    }
}

#[inline]
pub(super) fn blend(a: Colour, b: Colour, share: f32) -> Colour {
    [0, 1, 2].map(|i| a[i] + (b[i] - a[i]) * share)
}

pub(super) fn shade(c: Colour, by: f32) -> Colour {
    c.map(|v| v * by)
}
