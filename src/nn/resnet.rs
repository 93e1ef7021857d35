//! ResNet (He et al. 2016) and ResNeXt (Xie et al. 2017), after timm's `resnet.py`.

use super::layers::{Conv, Net};
use crate::device::{Act, PoolKind, Value, Window};
use crate::error::Result;

/// The shape of a stage's blocks.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub bottleneck: bool,
    pub depths: [usize; 4],
    pub groups: usize,
    pub base: usize,
}

/// The features before pooling.
pub(super) fn features(net: &mut Net, image: Value, shape: Shape) -> Result<Value> {
    let mut x = net.conv(image, "conv1", Conv::new(64, 7).stride(2))?;
    x = net.norm_act(x, "bn1", Act::Relu)?;
    x = net.pool(x, PoolKind::Max, Window::square(3, 2, 1))?;
    for (stage, &depth) in shape.depths.iter().enumerate() {
        let planes = 64 << stage;
        for block in 0..depth {
            let key = format!("layer{}.{block}", stage + 1);
            let stride = if block == 0 && stage > 0 { 2 } else { 1 };
            x = match shape.bottleneck {
                true => bottleneck(net, x, &key, planes, stride, shape)?,
                false => basic(net, x, &key, planes, stride)?,
            };
        }
    }
    Ok(x)
}

/// Two 3x3 convolutions beside the shortcut.
fn basic(net: &mut Net, x: Value, key: &str, planes: usize, stride: usize) -> Result<Value> {
    let mut y = net.conv(
        x,
        &format!("{key}.conv1"),
        Conv::new(planes, 3).stride(stride),
    )?;
    y = net.norm_act(y, &format!("{key}.bn1"), Act::Relu)?;
    y = net.conv(y, &format!("{key}.conv2"), Conv::new(planes, 3))?;
    y = net.norm(y, &format!("{key}.bn2"))?;
    join(net, x, y, key, stride)
}

/// 1x1, 3x3 and 1x1 beside the shortcut, the result four times as wide as `planes`.
fn bottleneck(
    net: &mut Net,
    x: Value,
    key: &str,
    planes: usize,
    stride: usize,
    shape: Shape,
) -> Result<Value> {
    let inner = planes * shape.base / 64 * shape.groups;
    let middle = Conv::new(inner, 3).stride(stride).groups(shape.groups);
    let mut y = net.conv(x, &format!("{key}.conv1"), Conv::new(inner, 1))?;
    y = net.norm_act(y, &format!("{key}.bn1"), Act::Relu)?;
    y = net.conv(y, &format!("{key}.conv2"), middle)?;
    y = net.norm_act(y, &format!("{key}.bn2"), Act::Relu)?;
    y = net.conv(y, &format!("{key}.conv3"), Conv::new(4 * planes, 1))?;
    y = net.norm(y, &format!("{key}.bn3"))?;
    join(net, x, y, key, stride)
}

/// Adds the shortcut, projected where the shapes differ.
fn join(net: &mut Net, x: Value, y: Value, key: &str, stride: usize) -> Result<Value> {
    let width = net.channels(y);
    let shortcut = if stride == 1 && net.channels(x) == width {
        x
    } else {
        let conv = Conv::new(width, 1).stride(stride);
        let projected = net.conv(x, &format!("{key}.downsample.0"), conv)?;
        net.norm(projected, &format!("{key}.downsample.1"))?
    };
    let sum = net.add(y, shortcut)?;
    net.act(sum, Act::Relu)
}
