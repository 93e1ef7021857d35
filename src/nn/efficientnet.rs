//! EfficientNet (Tan and Le 2019), after timm's `efficientnet.py` and `_efficientnet_blocks.py`.

use super::layers::{Conv, Net};
use crate::device::{Act, Op, Value};
use crate::error::Result;

/// Kernel, stride, expansion, channels and blocks of each stage of B0.
const STAGES: [[usize; 5]; 7] = [
    [3, 1, 1, 16, 1],
    [3, 2, 6, 24, 2],
    [5, 2, 6, 40, 2],
    [3, 2, 6, 80, 3],
    [5, 1, 6, 112, 3],
    [5, 2, 6, 192, 4],
    [3, 1, 6, 320, 1],
];

/// The features before pooling, with channels and blocks multiplied by `width` and `depth`.
pub(super) fn features(net: &mut Net, image: Value, width: f64, depth: f64) -> Result<Value> {
    let stem = Conv::new(round(32, width), 3).stride(2);
    let mut x = net.conv(image, "conv_stem", stem)?;
    x = net.norm_act(x, "bn1", Act::Silu)?;
    for (stage, [kernel, stride, expand, channels, blocks]) in STAGES.into_iter().enumerate() {
        for block in 0..(blocks as f64 * depth).ceil() as usize {
            let conv = Conv::new(round(channels, width), kernel).stride(match block {
                0 => stride,
                _ => 1,
            });
            x = inverted(net, x, &format!("blocks.{stage}.{block}"), expand, conv)?;
        }
    }
    x = net.conv(x, "conv_head", Conv::new(round(1280, width), 1))?;
    net.norm_act(x, "bn2", Act::Silu)
}

/// Multiplied, then rounded to a multiple of 8 that is not below nine tenths.
fn round(channels: usize, by: f64) -> usize {
    let wanted = channels as f64 * by;
    let near = ((wanted + 4.0) as usize / 8 * 8).max(8);
    match (near as f64) < 0.9 * wanted {
        true => near + 8,
        false => near,
    }
}

/// Expand, convolve each channel, squeeze and excite, project: beside a shortcut where the shapes
/// allow one. Without expansion the keys count from one less.
fn inverted(net: &mut Net, x: Value, key: &str, expand: usize, conv: Conv) -> Result<Value> {
    let (before, wide) = (net.channels(x), net.channels(x) * expand);
    let mut y = x;
    let (depth_norm, project, last_norm) = match expand {
        1 => ("bn1", "conv_pw", "bn2"),
        _ => {
            y = net.conv(y, &format!("{key}.conv_pw"), Conv::new(wide, 1))?;
            y = net.norm_act(y, &format!("{key}.bn1"), Act::Silu)?;
            ("bn2", "conv_pwl", "bn3")
        }
    };
    let each = Conv {
        filters: wide,
        groups: wide,
        ..conv
    };
    y = net.conv(y, &format!("{key}.conv_dw"), each)?;
    y = net.norm_act(y, &format!("{key}.{depth_norm}"), Act::Silu)?;
    y = excite(net, y, &format!("{key}.se"), before / 4)?;
    y = net.conv(y, &format!("{key}.{project}"), Conv::new(conv.filters, 1))?;
    y = net.norm(y, &format!("{key}.{last_norm}"))?;
    match conv.stride == 1 && before == conv.filters {
        true => net.add(y, x),
        false => Ok(y),
    }
}

/// Squeeze and excite (Hu et al. 2018): each channel gated by a small network on the means.
fn excite(net: &mut Net, x: Value, key: &str, inner: usize) -> Result<Value> {
    let (reduce, widen) = (format!("{key}.conv_reduce"), format!("{key}.conv_expand"));
    let wide = Conv::new(net.channels(x), 1);
    let mut g = net.graph.push(Op::GlobalAverage, &[x])?;
    g = net.conv(g, &reduce, Conv::new(inner, 1))?;
    g = net.bias(g, &reduce)?;
    g = net.act(g, Act::Silu)?;
    g = net.conv(g, &widen, wide)?;
    g = net.bias(g, &widen)?;
    g = net.sigmoid(g)?;
    net.graph.push(Op::Gate, &[x, g])
}

#[cfg(test)]
mod tests {
    use super::round;

    #[test]
    fn channels_round_as_published() {
        // B5: 32 * 1.6 = 51.2; B2: 16 * 1.1 = 17.6, 1280 * 1.1 = 1408; B1 leaves all as it is.
        assert_eq!(round(32, 1.6), 48);
        assert_eq!(round(16, 1.1), 16);
        assert_eq!(round(24, 1.1), 24);
        assert_eq!(round(1280, 1.1), 1408);
        assert_eq!(round(112, 1.0), 112);
        // 8 would be below nine tenths of 11.
        assert_eq!(round(11, 1.0), 16);
    }
}
