//! DenseNet (Huang et al. 2017), after timm's `densenet.py`: growth 32, bottlenecks of 128 channels.

use super::layers::{Conv, Net};
use crate::device::{Act, Op, PoolKind, Value, Window};
use crate::error::Result;

const GROWTH: usize = 32;

/// The features before pooling.
pub(super) fn features(net: &mut Net, image: Value, depths: [usize; 4]) -> Result<Value> {
    let conv = Conv::new(2 * GROWTH, 7).stride(2);
    let mut x = net.conv(image, "features.conv0", conv)?;
    x = net.norm_act(x, "features.norm0", Act::Relu)?;
    x = net.pool(x, PoolKind::Max, Window::square(3, 2, 1))?;
    for (block, &depth) in depths.iter().enumerate() {
        let mut parts = vec![x];
        for layer in 0..depth {
            let key = format!("features.denseblock{}.denselayer{}", block + 1, layer + 1);
            let grown = dense(net, &parts, &key)?;
            parts.push(grown);
        }
        x = net.graph.push(Op::Concat, &parts)?;
        if block + 1 < depths.len() {
            x = transition(net, x, &format!("features.transition{}", block + 1))?;
        }
    }
    net.norm_act(x, "features.norm5", Act::Relu)
}

/// The channels that a layer adds, from all before it.
fn dense(net: &mut Net, parts: &[Value], key: &str) -> Result<Value> {
    let mut y = net.graph.push(Op::Concat, parts)?;
    y = net.norm_act(y, &format!("{key}.norm1"), Act::Relu)?;
    y = net.conv(y, &format!("{key}.conv1"), Conv::new(4 * GROWTH, 1))?;
    y = net.norm_act(y, &format!("{key}.norm2"), Act::Relu)?;
    net.conv(y, &format!("{key}.conv2"), Conv::new(GROWTH, 3))
}

/// Half the channels, a quarter of the pixels.
fn transition(net: &mut Net, x: Value, key: &str) -> Result<Value> {
    let mut y = net.norm_act(x, &format!("{key}.norm"), Act::Relu)?;
    let conv = Conv::new(net.channels(y) / 2, 1);
    y = net.conv(y, &format!("{key}.conv"), conv)?;
    net.pool(y, PoolKind::Average, Window::square(2, 2, 0))
}
