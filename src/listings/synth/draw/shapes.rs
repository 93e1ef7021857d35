//! What products look like.

use super::Shape;
use super::art::{Art, Colour, Fill, blend, shade};
use crate::listings::synth::product::Product;
use crate::listings::synth::rng::Rng;
use crate::listings::synth::words::COLOURS;

const WHITE: Colour = [244.0, 244.0, 240.0];
const DARK: Colour = [40.0, 40.0, 46.0];
const STEEL: Colour = [176.0, 180.0, 188.0];

/// The colours and the habits of one product's drawing.
struct Look<'a> {
    main: Colour,
    accent: Colour,
    ink: Colour,
    /// Proportions of the family, from 0 to 1.
    p: [f32; 6],
    pattern: usize,
    text: &'a str,
}

fn some_colour(rng: &mut Rng) -> Colour {
    rng.pick(COLOURS).1.map(f32::from)
}

impl Look<'_> {
    /// The main colour with the family's pattern.
    fn cloth(&self) -> Fill {
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
    fn label(&self, art: &mut Art, x: f32, y: f32, hx: f32, hy: f32) {
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
        | Shape::Cloth => worn(shape, &look, &mut art),
        _ => thing(shape, &look, &mut art),
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

/// What is made of cloth or leather.
fn worn(shape: Shape, l: &Look<'_>, art: &mut Art) {
    let [a, b, c, ..] = l.p;
    let cloth = l.cloth();
    let seam = Fill::Plain(shade(l.main, 0.72));
    match shape {
        Shape::Shirt => {
            let (hx, long) = (0.42 + 0.1 * a, b > 0.5);
            let hand = if long { 0.62 } else { 0.02 };
            art.bar(
                [-hx + 0.08, -0.5],
                [-hx - 0.3, hand],
                0.15,
                Fill::Plain(shade(l.main, 0.88)),
            );
            art.bar(
                [hx - 0.08, -0.5],
                [hx + 0.3, hand],
                0.15,
                Fill::Plain(shade(l.main, 0.88)),
            );
            art.rect(0.0, 0.1, hx, 0.75, 0.08, cloth);
            art.oval(0.0, -0.66, 0.2, 0.14, seam);
            art.oval(0.0, -0.68, 0.15, 0.1, Fill::Plain(shade(l.main, 0.5)));
            if c > 0.6 {
                art.bar([0.0, -0.5], [0.0, 0.84], 0.015, seam);
            } else {
                art.text(0.0, -0.1, hx * 1.4, 0.24, l.text, Fill::Plain(l.accent));
            }
        }
        Shape::Dress => {
            let sleeve = 0.1 + 0.5 * b;
            art.bar(
                [-0.22, -0.62],
                [-0.5, -0.6 + sleeve],
                0.11,
                Fill::Plain(shade(l.main, 0.85)),
            );
            art.bar(
                [0.22, -0.62],
                [0.5, -0.6 + sleeve],
                0.11,
                Fill::Plain(shade(l.main, 0.85)),
            );
            art.trapeze(0.0, -0.5, 0.28, 0.22, 0.28, cloth);
            art.trapeze(0.0, 0.35, 0.22, 0.5 + 0.25 * a, 0.6, cloth);
            art.rect(0.0, -0.22, 0.24, 0.05, 0.0, Fill::Plain(l.accent));
            art.oval(0.0, -0.78, 0.12, 0.1, Fill::Plain(shade(l.main, 0.5)));
        }
        Shape::Trousers => {
            let end = 0.35 + 0.5 * b;
            art.bar([-0.2, -0.6], [-0.26 - 0.1 * a, end], 0.2, cloth);
            art.bar([0.2, -0.6], [0.26 + 0.1 * a, end], 0.2, cloth);
            art.rect(
                0.0,
                -0.66,
                0.42,
                0.14,
                0.03,
                Fill::Plain(shade(l.main, 0.85)),
            );
            art.rect(0.0, -0.78, 0.42, 0.05, 0.0, Fill::Plain(l.accent));
            art.bar([0.0, -0.7], [0.0, -0.3], 0.015, seam);
        }
        Shape::Scarf => {
            art.oval(0.0, -0.1, 0.5 + 0.1 * a, 0.72, cloth);
            art.trapeze(0.0, 0.55, 0.5, 0.75, 0.35, cloth);
            art.oval(0.0, -0.22, 0.28, 0.38, Fill::Plain([226.0, 186.0, 156.0]));
            art.bar([-0.3, 0.3], [0.35, 0.7 + 0.1 * b], 0.03, seam);
        }
        Shape::Hat => {
            art.oval(0.0, -0.1, 0.55, 0.5, cloth);
            art.rect(
                0.0,
                0.25,
                0.56,
                0.14,
                0.05,
                Fill::Plain(shade(l.main, 0.85)),
            );
            art.oval(-0.45, 0.36, 0.5 + 0.1 * a, 0.13, Fill::Plain(l.accent));
            art.text(0.1, -0.1, 0.5, 0.22, l.text, Fill::Plain(l.accent));
        }
        Shape::Shoe => {
            let (sole, collar) = (0.08 + 0.08 * a, -0.15 - 0.3 * b);
            art.rect(
                -0.5,
                (0.1 + collar) / 2.0,
                0.32,
                (0.5 - collar) / 2.0,
                0.1,
                cloth,
            );
            art.oval(0.38, 0.2, 0.5, 0.27, cloth);
            art.trapeze(-0.16, 0.06, 0.36, 0.66, 0.26, cloth);
            art.oval(-0.5, collar, 0.26, 0.07, Fill::Plain(shade(l.main, 0.5)));
            art.rect(
                0.02,
                0.38,
                0.86,
                sole,
                0.07,
                Fill::Plain(blend(WHITE, l.accent, 0.25)),
            );
            for i in 0..4 {
                let x = -0.12 + 0.12 * i as f32;
                let y = -0.16 + 0.06 * i as f32;
                art.bar([x, y], [x + 0.14, y - 0.1], 0.022, Fill::Plain(l.ink));
            }
            art.bar(
                [-0.62, 0.24],
                [0.0, 0.16 - 0.2 * c],
                0.045,
                Fill::Plain(l.accent),
            );
        }
        Shape::Bag => {
            art.ring(
                0.0,
                -0.3,
                0.4 + 0.1 * b,
                0.045,
                Fill::Plain(shade(l.accent, 0.8)),
            );
            art.trapeze(0.0, 0.25, 0.5 + 0.1 * a, 0.62 + 0.15 * a, 0.5, cloth);
            art.rect(
                0.0,
                -0.05,
                0.55,
                0.14 + 0.2 * c,
                0.08,
                Fill::Plain(shade(l.main, 0.8)),
            );
            art.rect(0.0, 0.1, 0.1, 0.08, 0.02, Fill::Plain([212.0, 176.0, 88.0]));
            art.text(0.0, 0.48, 0.5, 0.12, l.text, Fill::Plain(l.accent));
        }
        Shape::Backpack => {
            art.ring(0.0, -0.7, 0.14, 0.04, seam);
            art.rect(0.0, 0.05, 0.5 + 0.1 * a, 0.75, 0.28, cloth);
            art.rect(0.0, 0.4, 0.4, 0.28, 0.1, Fill::Plain(shade(l.main, 0.78)));
            art.bar([-0.36, 0.18], [0.36, 0.18], 0.02, Fill::Plain(l.accent));
            art.bar(
                [-0.4, -0.3],
                [0.4, -0.3],
                0.02,
                Fill::Plain(shade(l.main, 0.5)),
            );
            l.label(art, 0.0, -0.08, 0.26, 0.12);
        }
        Shape::Wallet => {
            art.rect(0.0, 0.05, 0.8, 0.42 + 0.12 * a, 0.06, cloth);
            art.bar([-0.8, 0.05], [0.8, 0.05], 0.012, seam);
            art.rect(
                0.62,
                0.05,
                0.2,
                0.12,
                0.05,
                Fill::Plain(shade(l.accent, 0.9)),
            );
            art.oval(0.66, 0.05, 0.05, 0.05, Fill::Plain([212.0, 176.0, 88.0]));
            art.text(-0.4, 0.32, 0.5, 0.1, l.text, Fill::Plain(l.accent));
        }
        // Folded cloth: layers over each other.
        _ => {
            for i in 0..4 {
                let y = 0.6 - 0.3 * i as f32;
                let fill = if i % 2 == 0 {
                    cloth
                } else {
                    Fill::Plain(shade(l.main, 0.86))
                };
                art.rect(0.0, y, 0.75 + 0.08 * a, 0.17, 0.14, fill);
            }
            art.rect(0.0, -0.45, 0.6, 0.12 + 0.06 * b, 0.1, Fill::Plain(l.accent));
            art.text(0.3, 0.62, 0.4, 0.1, l.text, Fill::Plain(l.accent));
        }
    }
}

/// Everything else.
fn thing(shape: Shape, l: &Look<'_>, art: &mut Art) {
    let [a, b, c, ..] = l.p;
    let main = Fill::Plain(l.main);
    let accent = Fill::Plain(l.accent);
    match shape {
        Shape::PhoneCase => {
            art.rect(0.0, 0.0, 0.46, 0.88, 0.14, l.cloth());
            art.rect(-0.22, -0.62, 0.17, 0.17, 0.06, Fill::Plain(DARK));
            for (x, y) in [
                (-0.29, -0.69),
                (-0.15, -0.69),
                (-0.29, -0.55),
                (-0.15, -0.55),
            ] {
                art.oval(x, y, 0.05, 0.05, Fill::Plain([96.0, 104.0, 120.0]));
            }
            match (b * 3.0) as usize {
                0 => art.oval(0.0, 0.25, 0.3, 0.3, accent),
                1 => {
                    art.oval(0.0, 0.2, 0.24, 0.22, accent);
                    art.oval(-0.2, 0.02, 0.1, 0.1, accent);
                    art.oval(0.2, 0.02, 0.1, 0.1, accent);
                }
                _ => art.rect(0.0, 0.3, 0.38, 0.1, 0.0, accent),
            }
            art.text(0.0, 0.25, 0.5, 0.14, l.text, Fill::Plain(l.ink));
        }
        Shape::Gadget => {
            art.rect(
                0.0,
                0.0,
                0.5 + 0.3 * a,
                0.35 + 0.3 * b,
                0.05 + 0.2 * c,
                Fill::Fade(l.main, shade(l.main, 0.7), 0.6),
            );
            art.oval(-0.2, 0.0, 0.2, 0.2, Fill::Plain(DARK));
            art.oval(-0.2, 0.0, 0.12, 0.12, Fill::Plain(shade(STEEL, 0.7)));
            art.rect(0.3, -0.12, 0.16, 0.06, 0.02, accent);
            art.rect(
                0.3,
                0.08,
                0.16,
                0.04,
                0.02,
                Fill::Plain(shade(l.accent, 0.7)),
            );
            art.text(0.15, 0.3, 0.5, 0.1, l.text, Fill::Plain(l.accent));
        }
        Shape::Cable => {
            for i in 0..4 {
                art.ring(0.0, -0.05, 0.32 + 0.09 * i as f32, 0.035, main);
            }
            art.bar([0.2, 0.5], [0.6, 0.85], 0.04, main);
            art.rect(0.66, 0.82, 0.1, 0.14, 0.02, Fill::Plain(STEEL));
            art.rect(-0.6, 0.75, 0.14, 0.1, 0.03, accent);
            art.bar([-0.45, 0.4], [-0.6, 0.75], 0.04, main);
            art.rect(0.0, -0.05, 0.2, 0.08 + 0.05 * a, 0.02, accent);
        }
        Shape::Pan => {
            art.rect(0.62, 0.1, 0.38, 0.06, 0.05, Fill::Plain(DARK));
            art.oval(
                -0.2,
                0.1,
                0.58,
                0.5 + 0.08 * a,
                Fill::Plain(shade(l.main, 0.7)),
            );
            art.oval(
                -0.2,
                0.07,
                0.5,
                0.42 + 0.08 * a,
                Fill::Fade(l.main, shade(l.main, 1.1), 0.4),
            );
            art.oval(-0.2, 0.07, 0.12, 0.1, accent);
            if b > 0.5 {
                art.rect(-0.2, -0.55, 0.1, 0.08, 0.05, accent);
            }
        }
        Shape::Cup => {
            art.ring(0.5, 0.05, 0.22, 0.06, main);
            art.trapeze(
                0.0,
                0.1,
                0.48,
                0.34 + 0.14 * a,
                0.6,
                Fill::Round(l.main, 0.5),
            );
            art.oval(0.0, -0.5, 0.48, 0.1, Fill::Plain(shade(l.main, 0.6)));
            l.label(art, 0.0, 0.1, 0.32, 0.2 + 0.06 * b);
        }
        Shape::Lamp => {
            art.trapeze(
                0.0,
                -0.4,
                0.2 + 0.15 * a,
                0.6,
                0.36,
                Fill::Fade(l.main, shade(l.main, 1.1), 0.4),
            );
            art.rect(0.0, 0.3, 0.05, 0.36, 0.0, Fill::Plain(STEEL));
            art.oval(0.0, 0.7, 0.34 + 0.1 * b, 0.1, accent);
        }
        Shape::Watch => {
            art.rect(0.0, 0.0, 0.2 + 0.06 * a, 0.95, 0.1, main);
            art.oval(0.0, 0.0, 0.42, 0.42, accent);
            art.oval(
                0.0,
                0.0,
                0.34,
                0.34,
                Fill::Plain(if b > 0.5 { WHITE } else { DARK }),
            );
            art.bar([0.0, 0.0], [0.0, -0.24], 0.025, accent);
            art.bar([0.0, 0.0], [0.16, 0.08], 0.025, accent);
            art.text(0.0, 0.16, 0.3, 0.07, l.text, accent);
        }
        Shape::Ring => {
            art.ring(
                0.0,
                0.2,
                0.42 + 0.1 * a,
                0.05 + 0.04 * b,
                Fill::Fade(l.main, shade(l.main, 0.7), 0.5),
            );
            art.oval(0.0, -0.32, 0.18, 0.16, accent);
            art.oval(-0.05, -0.36, 0.05, 0.04, Fill::Plain(WHITE));
        }
        Shape::Glasses => {
            art.ring(-0.42, 0.0, 0.34, 0.05, main);
            art.ring(0.42, 0.0, 0.34, 0.05, main);
            let lens = Fill::Fade(blend(l.accent, WHITE, 0.3), shade(l.accent, 0.8), 0.3);
            art.oval(-0.42, 0.0, 0.3, 0.22 + 0.08 * a, lens);
            art.oval(0.42, 0.0, 0.3, 0.22 + 0.08 * a, lens);
            art.bar([-0.1, -0.04], [0.1, -0.04], 0.035, main);
        }
        Shape::Bear => {
            for x in [-0.34, 0.34] {
                art.oval(x, -0.68, 0.16, 0.16, main);
                art.oval(x * 1.4, 0.25, 0.17, 0.3, main);
                art.oval(x * 0.9, 0.78, 0.22, 0.16, main);
            }
            art.oval(0.0, 0.35, 0.46, 0.5, main);
            art.oval(0.0, 0.4, 0.28, 0.3, accent);
            art.oval(0.0, -0.38, 0.4, 0.38, Fill::Plain(shade(l.main, 1.06)));
            art.oval(
                0.0,
                -0.26,
                0.17,
                0.13,
                Fill::Plain(blend(l.main, WHITE, 0.6)),
            );
            for x in [-0.15, 0.0, 0.15] {
                let y = if x == 0.0 { -0.3 } else { -0.45 };
                art.oval(x, y, 0.05, 0.05, Fill::Plain(DARK));
            }
            if a > 0.5 {
                art.trapeze(-0.1, -0.03, 0.04, 0.14, 0.08, accent);
                art.trapeze(0.1, -0.03, 0.04, 0.14, 0.08, accent);
            }
        }
        Shape::ToyCar => {
            art.rect(0.0, 0.15, 0.82, 0.24, 0.12, main);
            art.trapeze(
                -0.05,
                -0.22,
                0.3 + 0.1 * a,
                0.52,
                0.2,
                Fill::Plain(shade(l.main, 0.9)),
            );
            art.trapeze(
                -0.05,
                -0.2,
                0.24 + 0.1 * a,
                0.42,
                0.14,
                Fill::Plain([190.0, 214.0, 230.0]),
            );
            for x in [-0.48, 0.48] {
                art.oval(x, 0.4, 0.2, 0.2, Fill::Plain(DARK));
                art.oval(x, 0.4, 0.1, 0.1, accent);
            }
            art.text(0.0, 0.16, 0.7, 0.16, l.text, accent);
        }
        Shape::Ball => {
            art.oval(0.0, 0.0, 0.72, 0.72, Fill::Round(l.main, 0.72));
            art.ring(-0.1, 0.0, 0.42 + 0.2 * a, 0.05, accent);
            art.oval(0.15, -0.1, 0.2 + 0.1 * b, 0.2, accent);
        }
        // A book or a pad.
        _ => {
            art.rect(
                0.06,
                0.06,
                0.56 + 0.1 * a,
                0.76,
                0.02,
                Fill::Across(WHITE, shade(WHITE, 0.85), 0.02),
            );
            art.rect(0.0, 0.0, 0.56 + 0.1 * a, 0.76, 0.03, l.cloth());
            art.bar(
                [-0.5, -0.74],
                [-0.5, 0.74],
                0.03,
                Fill::Plain(shade(l.main, 0.6)),
            );
            l.label(art, 0.06, -0.3, 0.38, 0.2);
        }
    }
}
