//! ECA-NFNet-L: normaliser-free residual networks (Brock et al. 2021, "Characterizing signal
//! propagation to close the performance gap in unnormalized ResNets") with efficient channel
//! attention (Wang et al. 2020), after timm's `nfnet.py` (`_nfnet_cfg`).

use super::layers::{Conv, Net};
use crate::device::{Act, Op, Scalar, Value};
use crate::error::Result;

/// What each stage puts out, and the channels of a group of the middle convolutions.
const STAGES: [usize; 4] = [256, 512, 1536, 1536];
const GROUP: usize = 64;
/// The residual branch counts this much.
const ALPHA: f64 = 0.2;
/// Makes up for what the attention's gate takes.
const ATTENTION_GAIN: f64 = 2.0;
/// Makes up for what SiLU takes of a normal signal's deviation. It stays when the activation is
/// swapped, as the published weights were trained with it.
const GAMMA: f64 = 1.788_129_329_681_396_5;
/// Added to the variance of filters.
const EPS: f32 = 1e-5;

/// The features before pooling: `width` channels.
pub(super) fn features(
    net: &mut Net,
    image: Value,
    depths: [usize; 4],
    width: usize,
) -> Result<Value> {
    let mut x = image;
    for (i, (channels, stride)) in [(16, 2), (32, 1), (64, 1), (128, 2)]
        .into_iter()
        .enumerate()
    {
        if i > 0 {
            x = net.act(x, Act::Silu)?;
        }
        let conv = Conv::new(channels, 3).stride(stride);
        x = scaled(net, x, &format!("stem.conv{}", i + 1), conv, 1.0)?;
    }
    let mut variance = 1.0;
    for (stage, (&depth, channels)) in depths.iter().zip(STAGES).enumerate() {
        for at in 0..depth {
            let block = Block {
                key: format!("stages.{stage}.{at}"),
                channels,
                stride: if at == 0 && stage > 0 { 2 } else { 1 },
                beta: 1.0 / f64::sqrt(variance),
            };
            x = block.push(net, x)?;
            // The signal's variance is one again after the first block of a stage, which has no
            // identity in its shortcut.
            variance = if at == 0 { 1.0 } else { variance } + ALPHA * ALPHA;
        }
    }
    x = scaled(net, x, "final_conv", Conv::new(width, 1), 1.0)?;
    net.act(x, Act::Silu)
}

/// A convolution with standardised filters, and its bias. The signal counts `beta` times: into the
/// filters, which takes no pass over it.
fn scaled(net: &mut Net, x: Value, key: &str, conv: Conv, beta: f64) -> Result<Value> {
    let filters = net.filters(x, key, conv)?;
    let fan_in = net.channels(x) / conv.groups * conv.kernel * conv.kernel;
    let scale = Scalar::new((GAMMA / (fan_in as f64).sqrt() * beta) as f32);
    let eps = Scalar::new(EPS);
    let gain = net
        .graph
        .param(&format!("{key}.gain"), &[conv.filters, 1, 1, 1])?;
    let filters = net
        .graph
        .push(Op::Standardize { eps, scale }, &[filters, gain])?;
    let y = net.convolve(x, filters, conv)?;
    net.bias(y, key)
}

struct Block {
    key: String,
    channels: usize,
    stride: usize,
    beta: f64,
}

impl Block {
    /// Activation first; 1x1, two 3x3 in groups, 1x1, attention, beside the shortcut.
    fn push(&self, net: &mut Net, x: Value) -> Result<Value> {
        let key = |part: &str| format!("{}.{part}", self.key);
        let inner = self.channels / 4;
        let middle = Conv::new(inner, 3).groups(inner / GROUP);
        let a = net.act(x, Act::Silu)?;
        let shortcut = self.shortcut(net, x, a)?;
        let mut y = scaled(net, a, &key("conv1"), Conv::new(inner, 1), self.beta)?;
        y = net.act(y, Act::Silu)?;
        y = scaled(net, y, &key("conv2"), middle.stride(self.stride), 1.0)?;
        y = net.act(y, Act::Silu)?;
        y = scaled(net, y, &key("conv2b"), middle, 1.0)?;
        y = net.act(y, Act::Silu)?;
        y = scaled(net, y, &key("conv3"), Conv::new(self.channels, 1), 1.0)?;
        y = self.attend(net, y)?;
        net.add(y, shortcut)
    }

    /// The signal itself, or its activation pooled and projected where the shapes differ.
    fn shortcut(&self, net: &mut Net, x: Value, activated: Value) -> Result<Value> {
        if self.stride == 1 && net.channels(x) == self.channels {
            return Ok(x);
        }
        let pooled = match self.stride {
            1 => activated,
            _ => net.halve_up(activated)?,
        };
        let key = format!("{}.downsample.conv", self.key);
        scaled(net, pooled, &key, Conv::new(self.channels, 1), self.beta)
    }

    /// Each channel gated by its neighbours' means; the gates carry the branch's constant factors.
    fn attend(&self, net: &mut Net, x: Value) -> Result<Value> {
        let key = format!("{}.attn_last.conv.weight", self.key);
        let mut g = net.graph.push(Op::GlobalAverage, &[x])?;
        let taps = net.graph.param(&key, &[1, 1, taps(self.channels)])?;
        g = net.graph.push(Op::ChannelConv, &[g, taps])?;
        g = net.sigmoid(g)?;
        let factor = Scalar::new((ATTENTION_GAIN * ALPHA) as f32);
        g = net.graph.push(Op::Multiply(factor), &[g])?;
        net.graph.push(Op::Gate, &[x, g])
    }
}

/// How many neighbours the attention sees: near `(log2(channels) + 1) / 2`, odd, 3 at least.
fn taps(channels: usize) -> usize {
    let t = (((channels as f64).log2() + 1.0) / 2.0) as usize;
    (t | 1).max(3)
}

#[cfg(test)]
mod tests {
    use super::taps;

    #[test]
    fn attention_grows_with_the_channels() {
        assert_eq!(
            [2, 64, 256, 512, 1536, 2048].map(taps),
            [3, 3, 5, 5, 5, 7],
            "timm's EcaModule"
        );
    }
}
