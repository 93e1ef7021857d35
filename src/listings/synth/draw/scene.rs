//! A photograph: a product before a background, under a light, and what sellers lay over it.

use super::art::{Art, Colour, Fill, blend, shade};
use crate::listings::synth::rng::{Rng, mix};
use crate::listings::synth::words::COLOURS;

/// `x' = a x + b y + c`, `y' = d x + e y + f`.
#[derive(Debug, Clone, Copy)]
struct Affine([f32; 6]);

impl Affine {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        let [a, b, c, d, e, f] = self.0;
        (a * x + b * y + c, d * x + e * y + f)
    }
}

/// What the camera sees, in a square from -1 to 1 and a little beyond.
pub(super) struct Shot {
    ground: Ground,
    /// Where the product stands: from the picture to the drawing.
    places: Vec<Affine>,
    /// How large a unit of the drawing is in the picture, for the smoothness of edges.
    scale: f32,
    light: [f32; 2],
    gain: Colour,
    laid: Art,
    /// The sides of the picture, the longer one 1.
    pub(super) sides: [f32; 2],
}

#[derive(Debug, Clone, Copy)]
enum Ground {
    Plain(Colour),
    Fade(Colour, Colour),
    Planks(Colour, f32),
    Tiles(Colour, Colour, f32),
    Table(Colour, Colour, f32),
    Spots(Colour, Colour, [[f32; 2]; 5]),
}

impl Ground {
    fn of(rng: &mut Rng) -> Ground {
        let some = |rng: &mut Rng| rng.pick(COLOURS).1.map(f32::from);
        let pale = |rng: &mut Rng| blend(some(rng), [250.0; 3], 0.45 + 0.4 * rng.unit() as f32);
        match rng.below(20) {
            0..=6 => Ground::Plain(shade([255.0; 3], 0.94 + 0.06 * rng.unit() as f32)),
            7..=9 => Ground::Plain(pale(rng)),
            10 | 11 => Ground::Fade(pale(rng), some(rng)),
            12 | 13 => Ground::Planks([168.0, 124.0, 84.0], 0.16 + 0.2 * rng.unit() as f32),
            14 => Ground::Tiles(pale(rng), pale(rng), 0.2 + 0.3 * rng.unit() as f32),
            15..=17 => Ground::Table(
                pale(rng),
                shade(some(rng), 0.8),
                0.1 + 0.5 * rng.unit() as f32,
            ),
            _ => {
                let (back, spot) = (some(rng), pale(rng));
                let mut draw = || rng.unit() as f32 * 2.4 - 1.2;
                Ground::Spots(back, spot, std::array::from_fn(|_| [draw(), draw()]))
            }
        }
    }

    fn at(&self, x: f32, y: f32) -> Colour {
        match *self {
            Ground::Plain(c) => c,
            Ground::Fade(a, b) => blend(a, b, (y * 0.5 + 0.5).clamp(0.0, 1.0)),
            Ground::Planks(c, side) => {
                let (row, along) = ((y / side).floor(), y / side - (y / side).floor());
                let tone = mix(row as i64 as u64) as u8;
                let grain = ((x * 7.0 + row * 3.7).floor() as i64 as u64) & 3;
                let edge = if along < 0.06 { 0.7 } else { 1.0 };
                shade(
                    c,
                    edge * (0.9 + f32::from(tone) / 1280.0 + grain as f32 * 0.015),
                )
            }
            Ground::Tiles(a, b, side) => {
                let odd = ((x / side).floor() + (y / side).floor()) as i32 & 1;
                if odd == 0 { a } else { b }
            }
            Ground::Table(wall, table, edge) => {
                if y < edge {
                    wall
                } else {
                    blend(table, shade(table, 0.8), (y - edge).min(1.0))
                }
            }
            Ground::Spots(back, spot, places) => {
                let mut colour = back;
                for [px, py] in places {
                    let (dx, dy) = (x - px, y - py);
                    let near = 1.0 - (dx * dx + dy * dy) * 4.0;
                    colour = blend(colour, spot, near.clamp(0.0, 0.6));
                }
                colour
            }
        }
    }
}

impl Shot {
    pub(super) fn of(shot: u64) -> Shot {
        let mut rng = Rng::of(shot, 62, 0);
        let ground = Ground::of(&mut rng);
        let studio = matches!(ground, Ground::Plain(_));
        let mut draw = |low: f32, high: f32| low + (high - low) * rng.unit() as f32;
        let turn = if studio {
            draw(-0.06, 0.06)
        } else {
            draw(-0.2, 0.2)
        };
        let size = draw(0.55, 0.95);
        let (x, y) = (draw(-0.15, 0.15), draw(-0.12, 0.12));
        let light = [draw(-0.16, 0.16), draw(-0.16, 0.16)];
        let warm = draw(-0.06, 0.06);
        let bright = draw(0.86, 1.1);
        let (many, flipped) = (rng.below(20), rng.chance(250));
        let places = match many {
            0 | 1 => vec![(x - 0.42, y, 0.5), (x + 0.42, y, 0.5)],
            2 => vec![
                (x - 0.56, y - 0.1, 0.42),
                (x + 0.56, y - 0.1, 0.42),
                (x, y + 0.15, 0.5),
            ],
            3 => vec![(x - 0.25, y - 0.15, 0.6), (x + 0.35, y + 0.2, 0.55)],
            _ => vec![(x, y, size)],
        };
        let scale = places.iter().fold(1.0, |least: f32, p| least.min(p.2));
        let places = places
            .into_iter()
            .map(|(x, y, size)| placed(x, y, size, turn, flipped))
            .collect();
        let mut laid = Art::default();
        if rng.chance(220) {
            promo(&mut laid, &mut rng);
        }
        let sides = match rng.below(10) {
            0 => [1.0, 0.75],
            1 => [0.75, 1.0],
            2 => [0.8, 1.0],
            _ => [1.0, 1.0],
        };
        Shot {
            ground,
            places,
            scale,
            light,
            gain: [bright * (1.0 + warm), bright, bright * (1.0 - warm)],
            laid,
            sides,
        }
    }

    /// The colour at a place of the picture. `pixel` is the side of a pixel.
    pub(super) fn at(&self, product: &Art, x: f32, y: f32, pixel: f32) -> Colour {
        let mut colour = self.ground.at(x, y);
        for place in &self.places {
            let (px, py) = place.at(x, y);
            if px.abs() > 1.2 || py.abs() > 1.2 {
                continue;
            }
            // The shadow at its foot.
            let (sx, sy) = (px / 0.8, (py - 0.86) / 0.14);
            let dark = 1.0 - (sx * sx + sy * sy);
            if dark > 0.0 {
                colour = shade(colour, 1.0 - 0.35 * dark);
            }
            colour = product.over(colour, px, py, pixel / self.scale);
        }
        let light = 1.0 + self.light[0] * x + self.light[1] * y;
        colour = [0, 1, 2].map(|i| colour[i] * self.gain[i] * light);
        self.laid.over(colour, x, y, pixel)
    }
}

/// From the picture to a drawing at `x`, `y` of half side `size`, turned by twice the angle whose
/// tangent is `half`: sine and cosine are fractions of it, so no library rounds them.
fn placed(x: f32, y: f32, size: f32, half: f32, flipped: bool) -> Affine {
    let unit = 1.0 + half * half;
    let (cos, sin) = ((1.0 - half * half) / unit / size, 2.0 * half / unit / size);
    let side = if flipped { -1.0 } else { 1.0 };
    let (a, b, d, e) = (side * cos, side * sin, -sin, cos);
    Affine([a, b, -a * x - b * y, d, e, -d * x - e * y])
}

const SHOUTS: &[&str] = &[
    "PROMO",
    "SALE",
    "COD",
    "ORI",
    "MURAH",
    "READY",
    "50%",
    "NEW",
    "BEST SELLER",
    "GRATIS",
    "DISKON 30%",
    "100% ORI",
    "BPOM",
    "HALAL",
    "FREE",
    "HOT",
    "GROSIR",
];

/// Badges and bands with a word.
fn promo(art: &mut Art, rng: &mut Rng) {
    const LOUD: &[Colour] = &[
        [220.0, 30.0, 40.0],
        [250.0, 200.0, 30.0],
        [240.0, 110.0, 20.0],
        [30.0, 110.0, 200.0],
        [20.0, 140.0, 70.0],
        [30.0, 30.0, 34.0],
    ];
    for _ in 0..1 + rng.below(2) {
        let fill = Fill::Plain(*rng.pick(LOUD));
        let word = rng.pick::<&str>(SHOUTS);
        let ink = Fill::Plain([252.0, 252.0, 246.0]);
        let corner = |rng: &mut Rng| if rng.chance(500) { -0.68 } else { 0.68 };
        match rng.below(4) {
            0 | 1 => {
                let (x, y, r) = (corner(rng), corner(rng), 0.2 + 0.1 * rng.unit() as f32);
                art.oval(x, y, r, r, fill);
                art.text(x, y, r * 1.7, r * 0.7, word, ink);
            }
            2 => {
                let y = if rng.chance(500) { -0.87 } else { 0.87 };
                art.rect(0.0, y, 1.2, 0.13, 0.0, fill);
                art.text(0.0, y, 1.5, 0.17, word, ink);
            }
            _ => art.text(0.0, corner(rng), 1.2, 0.2, word, fill),
        }
    }
}

/// What a seller does to another's photograph.
pub(super) struct Edit {
    /// From the new picture to the old one.
    view: Affine,
    laid: Art,
    /// Half the width of a frame, and its colour.
    frame: f32,
    frame_colour: Colour,
    gain: f32,
    lift: f32,
}

impl Edit {
    /// Nothing.
    pub(super) fn none() -> Edit {
        Edit {
            view: Affine([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
            laid: Art::default(),
            frame: 0.0,
            frame_colour: [0.0; 3],
            gain: 1.0,
            lift: 0.0,
        }
    }

    pub(super) fn of(edit: u64) -> Edit {
        let mut rng = Rng::of(edit, 63, 0);
        let mut done = Edit::none();
        if rng.chance(450) {
            // A part of it, by up to a fifth.
            let zoom = 1.0 - 0.2 * rng.unit() as f32;
            let slack = 1.0 - zoom;
            let mut shift = || (rng.unit() as f32 * 2.0 - 1.0) * slack;
            done.view = Affine([zoom, 0.0, shift(), 0.0, zoom, shift()]);
        }
        if rng.chance(120) {
            done.view.0[0] = -done.view.0[0];
        }
        if rng.chance(550) {
            promo(&mut done.laid, &mut rng);
        }
        if rng.chance(200) {
            done.frame = 0.04 + 0.08 * rng.unit() as f32;
            done.frame_colour = rng.pick(COLOURS).1.map(f32::from);
        }
        if rng.chance(400) {
            done.gain = 0.8 + 0.45 * rng.unit() as f32;
            done.lift = (rng.unit() as f32 - 0.5) * 24.0;
        }
        done
    }

    pub(super) fn at(&self, shot: &Shot, product: &Art, x: f32, y: f32, pixel: f32) -> Colour {
        let (sx, sy) = self.view.at(x, y);
        let colour = shot.at(product, sx, sy, pixel);
        let colour = colour.map(|v| (v - 128.0) * self.gain + 128.0 + self.lift);
        let colour = self.laid.over(colour, x, y, pixel);
        let inside = (shot.sides[0] - x.abs()).min(shot.sides[1] - y.abs());
        if inside < self.frame {
            self.frame_colour
        } else {
            colour
        }
    }
}
