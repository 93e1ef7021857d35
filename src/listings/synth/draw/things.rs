//! Products that neither hold something nor are of cloth.

use super::Shape;
use super::art::{Art, Fill, blend, shade};
use super::shapes::{DARK, Look, STEEL, WHITE};

/// Draws it.
pub(super) fn draw(shape: Shape, l: &Look<'_>, art: &mut Art) {
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
