//! What products look like: their colours and habits, and those that hold something.

use super::art::{Art, Colour, Fill, blend, shade};
use super::{Shape, things, worn};
use crate::listings::synth::product::Product;
use crate::listings::synth::rng::Rng;
use crate::listings::synth::words::COLOURS;

pub(super) const WHITE: Colour = [244.0, 244.0, 240.0];
pub(super) const DARK: Colour = [40.0, 40.0, 46.0];
pub(super) const STEEL: Colour = [176.0, 180.0, 188.0];

/// The colours and the habits of one product's drawing.
pub(super) struct Look<'a> {
    pub(super) main: Colour,
    pub(super) accent: Colour,
    pub(super) ink: Colour,
    /// Proportions of the family, from 0 to 1.
    pub(super) p: [f32; 6],
    pub(super) pattern: usize,
    pub(super) text: &'a str,
}

fn some_colour(rng: &mut Rng) -> Colour {
    rng.pick(COLOURS).1.map(f32::from)
}

impl Look<'_> {
    /// The main colour with the family's pattern.
    pub(super) fn cloth(&self) -> Fill {
        let side = 0.06 + 0.14 * self.p[4];
        match self.pattern {
            0 | 1 => Fill::Across(self.main, self.accent, side),
            2 => Fill::Down(self.main, self.accent, side),
            3 => Fill::Dots(self.main, self.accent, side * 1.5),
            4 => Fill::Squares(self.main, blend(self.main, self.accent, 0.5), side),
            5 => Fill::Fade(self.main, self.accent, 0.9),
            _ => Fill::Plain(self.main),
        }
    }

    /// A label with the maker's lettering, as wide and high as half sides say.
    pub(super) fn label(&self, art: &mut Art, x: f32, y: f32, hx: f32, hy: f32) {
        art.rect(x, y, hx, hy, 0.03, Fill::Plain(self.accent));
        if self.p[3] > 0.5 {
            art.oval(
                x,
                y + hy * 0.45,
                hx * 0.35,
                hy * 0.35,
                Fill::Plain(self.main),
            );
        } else {
            art.rect(
                x,
                y + hy * 0.5,
                hx * 0.8,
                hy * 0.16,
                0.0,
                Fill::Plain(shade(self.main, 0.8)),
            );
        }
        art.text(
            x,
            y - hy * 0.4,
            hx * 1.8,
            hy * 0.6,
            self.text,
            Fill::Plain(self.ink),
        );
    }
}

/// The drawing of a product. The family gives the shape, its proportions and its pattern; the product
/// its colours.
pub(super) fn draw(product: &Product) -> Art {
    let mut rng = Rng::of(product.look, 51, 0);
    let p = std::array::from_fn(|_| rng.unit() as f32);
    let pattern = rng.below(12);
    let shapes = product.category.shapes;
    // What is sold has one shape among its kind's, however it is called.
    let shape = shapes[(product.noun + rng.below(2)) % shapes.len()];
    let family = [some_colour(&mut rng), some_colour(&mut rng)];
    let mut own = Rng::of(product.look, 52, product.variant);
    let (main, accent) = match product.colour {
        Some(at) => (COLOURS[at].1.map(f32::from), family[1]),
        None => (family[0], some_colour(&mut own)),
    };
    let accent = if main == accent {
        shade(WHITE, 0.97)
    } else {
        accent
    };
    let bright = accent[0] * 0.3 + accent[1] * 0.6 + accent[2] * 0.1 > 130.0;
    let look = Look {
        main,
        accent,
        ink: if bright { DARK } else { WHITE },
        p,
        pattern,
        text: &product.lettering,
    };
    let mut art = Art::default();
    match shape {
        Shape::Stick
        | Shape::Compact
        | Shape::Tube
        | Shape::Box
        | Shape::Bottle
        | Shape::Jar
        | Shape::Pump
        | Shape::Sachet
        | Shape::Spray
        | Shape::Can => vessel(shape, &look, &mut art),
        Shape::Dress
        | Shape::Shirt
        | Shape::Scarf
        | Shape::Trousers
        | Shape::Hat
        | Shape::Shoe
        | Shape::Bag
        | Shape::Backpack
        | Shape::Wallet
        | Shape::Cloth => worn::draw(shape, &look, &mut art),
        _ => things::draw(shape, &look, &mut art),
    }
    art
}

/// What holds something.
fn vessel(shape: Shape, l: &Look<'_>, art: &mut Art) {
    let [a, b, c, ..] = l.p;
    let body = |half: f32| Fill::Round(l.main, half);
    match shape {
        Shape::Bottle | Shape::Pump | Shape::Spray => {
            let (hx, hy) = (0.24 + 0.22 * a, 0.5 + 0.18 * b);
            let neck = 0.08 + 0.08 * c;
            art.rect(
                0.0,
                -hy + 0.02,
                neck,
                0.16,
                0.02,
                Fill::Round(shade(l.main, 0.85), neck),
            );
            art.rect(0.0, 0.2, hx, hy, 0.05 + 0.2 * c, body(hx));
            if shape == Shape::Bottle {
                art.rect(
                    0.0,
                    -hy - 0.08,
                    neck * 1.4,
                    0.12,
                    0.03,
                    Fill::Round(l.accent, neck * 1.4),
                );
            } else {
                art.rect(
                    0.0,
                    -hy - 0.06,
                    neck * 1.2,
                    0.1,
                    0.02,
                    Fill::Plain(l.accent),
                );
                art.bar(
                    [0.0, -hy - 0.2],
                    [-0.3, -hy - 0.16],
                    0.05,
                    Fill::Plain(l.accent),
                );
                art.bar(
                    [0.0, -hy - 0.2],
                    [0.0, -hy - 0.05],
                    0.04,
                    Fill::Plain(shade(l.accent, 0.8)),
                );
            }
            l.label(art, 0.0, 0.25, hx * 0.88, 0.22 + 0.12 * a);
        }
        Shape::Jar => {
            let (hx, hy) = (0.45 + 0.25 * a, 0.3 + 0.25 * b);
            art.rect(0.0, 0.2, hx, hy, 0.12, body(hx));
            art.rect(
                0.0,
                0.2 - hy - 0.08,
                hx * 0.96,
                0.13,
                0.04,
                Fill::Round(l.accent, hx),
            );
            l.label(art, 0.0, 0.24, hx * 0.8, hy * 0.6);
        }
        Shape::Tube => {
            let (top, bottom) = (0.34 + 0.16 * a, 0.2 + 0.12 * b);
            art.trapeze(0.0, -0.1, top, bottom, 0.68, body(top));
            art.rect(
                0.0,
                -0.78,
                top,
                0.06,
                0.0,
                Fill::Down(shade(l.main, 0.8), l.main, 0.02),
            );
            art.rect(
                0.0,
                0.72,
                bottom * 0.9,
                0.16,
                0.03,
                Fill::Round(l.accent, bottom),
            );
            l.label(art, 0.0, -0.15, bottom, 0.3);
        }
        Shape::Stick => {
            let hx = 0.12 + 0.08 * a;
            art.rect(
                0.0,
                0.45,
                hx * 1.25,
                0.42,
                0.03,
                Fill::Round(shade(l.accent, 0.9), hx * 1.25),
            );
            art.rect(0.0, -0.05, hx, 0.12, 0.0, Fill::Round(STEEL, hx));
            art.trapeze(
                0.0,
                -0.4,
                hx * (0.3 + 0.5 * b),
                hx * 0.9,
                0.28,
                Fill::Round(l.main, hx),
            );
            art.rect(
                0.55,
                0.1,
                hx * 1.25,
                0.62,
                0.05,
                Fill::Round(l.accent, hx * 1.25),
            );
            art.text(0.55, 0.1, hx * 2.3, 0.2, l.text, Fill::Plain(l.ink));
            art.oval(-0.55, 0.55, 0.2, 0.12, Fill::Plain(l.main));
        }
        Shape::Compact => {
            art.oval(0.0, 0.35, 0.62 + 0.1 * a, 0.42, Fill::Plain(l.accent));
            art.oval(
                0.0,
                0.33,
                0.52,
                0.34,
                Fill::Fade(l.main, shade(l.main, 0.88), 0.3),
            );
            art.oval(
                0.0,
                -0.42,
                0.6 + 0.1 * a,
                0.42,
                Fill::Plain(shade(l.accent, 0.85)),
            );
            art.oval(
                0.0,
                -0.42,
                0.5,
                0.34,
                Fill::Fade([222.0, 232.0, 240.0], WHITE, 0.3),
            );
            art.text(0.0, 0.7, 0.6, 0.1, l.text, Fill::Plain(l.ink));
        }
        Shape::Sachet => {
            let (hx, hy) = (0.48 + 0.15 * a, 0.65 + 0.15 * b);
            art.rect(
                0.0,
                0.0,
                hx,
                hy,
                0.05,
                Fill::Fade(l.main, shade(l.main, 0.8), hy),
            );
            art.rect(
                0.0,
                -hy + 0.06,
                hx,
                0.06,
                0.0,
                Fill::Down(shade(l.main, 0.7), l.main, 0.03),
            );
            art.rect(
                0.0,
                hy - 0.06,
                hx,
                0.06,
                0.0,
                Fill::Down(shade(l.main, 0.7), l.main, 0.03),
            );
            art.oval(
                0.0,
                0.35,
                hx * 0.6,
                0.2 + 0.08 * c,
                Fill::Plain(blend(l.accent, l.main, 0.3)),
            );
            art.oval(
                0.1,
                0.38,
                hx * 0.25,
                0.12,
                Fill::Plain(shade(l.accent, 0.8)),
            );
            l.label(art, 0.0, -0.25, hx * 0.82, 0.24);
        }
        Shape::Can => {
            let (hx, hy) = (0.36 + 0.14 * a, 0.55 + 0.15 * b);
            art.rect(0.0, 0.05, hx, hy, 0.06, body(hx));
            art.oval(0.0, 0.05 - hy, hx, 0.1, Fill::Plain(STEEL));
            art.oval(
                0.0,
                0.05 - hy,
                hx * 0.85,
                0.07,
                Fill::Plain(shade(STEEL, 0.85)),
            );
            l.label(art, 0.0, 0.1, hx, hy * 0.5);
        }
        // A box with a side that the light misses.
        _ => {
            let (hx, hy) = (0.42 + 0.25 * a, 0.4 + 0.35 * b);
            art.rect(
                hx * 0.2,
                -0.06,
                hx,
                hy,
                0.0,
                Fill::Plain(shade(l.main, 0.6)),
            );
            art.rect(-0.05, 0.05, hx, hy, 0.0, l.cloth());
            l.label(art, -0.05, -hy * 0.3, hx * 0.85, hy * 0.35);
            art.oval(
                -0.05,
                hy * 0.55,
                hx * 0.3,
                hy * 0.25,
                Fill::Plain(shade(l.accent, 0.9)),
            );
        }
    }
}
