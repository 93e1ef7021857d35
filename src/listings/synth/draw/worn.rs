//! Products of cloth and leather.

use super::Shape;
use super::art::{Art, Fill, blend, shade};
use super::shapes::{Look, WHITE};

/// Draws it.
pub(super) fn draw(shape: Shape, l: &Look<'_>, art: &mut Art) {
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
