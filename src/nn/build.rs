//! An encoder's graph, at a batch and a size.

use super::catalogue::{Arch, Family};
use super::head::{self, GlobalPool, Head};
use super::layers::Net;
use super::{densenet, efficientnet, nfnet, resnet};
use crate::device::{Act, Graph, Origin, Value};
use crate::error::{Error, Kind, Result};
use crate::limits;

/// What to build of an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Build {
    /// Images a run.
    pub batch: usize,
    /// Height and width of an image, in pixels.
    pub size: usize,
    /// Stands in for the backbone's SiLU or ReLU, wherever it stands: also inside squeeze-excite, as
    /// with timm's `act_layer=` and `replace_activations`. Sigmoid gates stay, and so does NFNet's
    /// constant for SiLU, which is in its published weights.
    pub activation: Option<Act>,
    /// How the features of all pixels become one.
    pub pool: GlobalPool,
    /// What follows, unless the pooled features are wanted.
    pub head: Option<Head>,
}

impl Build {
    /// The pooled features of `batch` images of `size x size` pixels, everything as published.
    pub fn new(batch: usize, size: usize) -> Self {
        Build {
            batch,
            size,
            activation: None,
            pool: GlobalPool::Average,
            head: None,
        }
    }
}

/// The graph of an encoder: input `image`, f32 `[batch, size, size, 3]`, prepared as [`Arch`] says;
/// output `[batch, width]`, timm's pooled features (`num_classes=0`), or the head's embedding. Weights
/// have timm's keys and shapes; see [`params`].
///
/// # Errors
/// [`Kind::Limit`](crate::error::Kind::Limit) for a batch, size or head beyond [`limits`], and
/// [`Kind::Input`](crate::error::Kind::Input) for a size that leaves the architecture no pixel.
pub fn graph(arch: &Arch, build: &Build) -> Result<Graph> {
    let limit = |what: &str, n: usize, most: usize| match (1..=most).contains(&n) {
        true => Ok(()),
        false => Err(Error::limit(format!("{what} of {n}")).mend(format!("give 1 to {most}"))),
    };
    limit("a batch", build.batch, limits::MAX_BATCH)?;
    limit("an image side", build.size, limits::MAX_IMAGE_SIDE as usize)?;
    let eps_same = match arch.family {
        Family::Efficient {
            tensorflow: true, ..
        } => (1e-3, true),
        _ => (1e-5, false),
    };
    let mut net = Net::new(build.activation, eps_same.0, eps_same.1);
    let image = net.image(build.batch, build.size);
    let small = |e: Error| match e.kind() {
        Kind::Shape => Error::input(format!(
            "{} takes no images of {size} x {size} pixels ({})",
            arch.name,
            e,
            size = build.size
        ))
        .mend(format!("use a larger size; its own is {}", arch.size)),
        _ => e,
    };
    let x = features(&mut net, image, arch).map_err(small)?;
    let mut y = head::pooled(&mut net, x, build.pool)?;
    if let Some(head) = build.head {
        y = head::embedded(&mut net, y, head)?;
    }
    net.graph.output(&[y]);
    Ok(net.graph)
}

fn features(net: &mut Net, image: Value, arch: &Arch) -> Result<Value> {
    match arch.family {
        Family::Residual {
            bottleneck,
            depths,
            groups,
            base,
        } => {
            let shape = resnet::Shape {
                bottleneck,
                depths,
                groups,
                base,
            };
            resnet::features(net, image, shape)
        }
        Family::Dense { depths } => densenet::features(net, image, depths),
        Family::Efficient { width, depth, .. } => efficientnet::features(net, image, width, depth),
        Family::NormFree { depths } => nfnet::features(net, image, depths, arch.width),
    }
}

/// The weights that a graph wants: key and shape, in the order they are used.
pub fn params(graph: &Graph) -> Vec<(String, Vec<usize>)> {
    let key = |v: Value| match graph.origin(v) {
        Origin::Param(key) => Some((key.clone(), graph.desc(v).dims.clone())),
        _ => None,
    };
    graph.params().into_iter().filter_map(key).collect()
}

/// Whether published files of the architecture hold a weight of this key that its graph has no use
/// for: the classifier, and batch norms' counters of training.
pub fn known_extra(arch: &Arch, key: &str) -> bool {
    let classifier = match arch.family {
        Family::Residual { .. } => "fc.",
        Family::NormFree { .. } => "head.fc.",
        Family::Dense { .. } | Family::Efficient { .. } => "classifier.",
    };
    let part = key.strip_prefix(classifier);
    matches!(part, Some("weight" | "bias")) || key.ends_with(".num_batches_tracked")
}

#[cfg(test)]
mod tests {
    use super::super::{arch, architectures};
    use super::*;

    #[test]
    fn every_architecture_builds_at_any_size_or_says_why_not() {
        for arch in architectures() {
            for size in [0, 1, 2, 7, 16, 17, 31, 33, 97, arch.size] {
                match graph(arch, &Build::new(3, size)) {
                    Ok(g) => assert_eq!(g.desc(g.outputs()[0]).dims, [3, arch.width]),
                    Err(e) => {
                        let e = e.to_string();
                        assert!(size < 32, "{}: {e}", arch.name);
                        assert!(!e.contains('\n') && e.contains(&size.to_string()), "{e}");
                    }
                }
            }
        }
        let dense = arch("densenet121").unwrap();
        let e = graph(dense, &Build::new(1, 16)).unwrap_err().to_string();
        assert!(e.contains("densenet121 takes no images of 16 x 16"), "{e}");
    }

    #[test]
    fn absurd_batches_sizes_and_heads_are_refused() {
        let arch = arch("resnet18").unwrap();
        for (batch, size) in [(0, 64), (usize::MAX, 64), (1, usize::MAX), (1, 1 << 40)] {
            assert!(graph(arch, &Build::new(batch, size)).is_err());
        }
        for dims in [0, usize::MAX] {
            let build = Build {
                head: Some(Head { dims }),
                ..Build::new(1, 64)
            };
            assert!(graph(arch, &build).is_err());
        }
    }

    #[test]
    fn the_head_and_the_pool_have_weights_of_their_own() {
        let arch = arch("resnet18").unwrap();
        let mut build = Build::new(2, 64);
        let plain = params(&graph(arch, &build).unwrap()).len();
        build.pool = GlobalPool::Gem;
        let gem = params(&graph(arch, &build).unwrap());
        assert_eq!(gem[plain..], [("embed.pool.p".to_string(), vec![1])]);
        build.head = Some(Head { dims: 512 });
        let g = graph(arch, &build).unwrap();
        assert_eq!(g.desc(g.outputs()[0]).dims, [2, 512]);
        let all = params(&g);
        assert_eq!(
            all[plain + 1],
            ("embed.fc.weight".to_string(), vec![512, 512])
        );
        assert_eq!(all.len(), plain + 1 + 2 + 4);
    }

    #[test]
    fn classifiers_and_counters_are_known_extras_and_nothing_else() {
        let known = |name: &str, key: &str| known_extra(arch(name).unwrap(), key);
        assert!(known("resnet18", "fc.weight"));
        assert!(known("efficientnet_b0", "classifier.bias"));
        assert!(known("densenet121", "classifier.weight"));
        assert!(known("eca_nfnet_l0", "head.fc.weight"));
        assert!(known("resnet18", "layer1.0.bn1.num_batches_tracked"));
        assert!(!known("resnet18", "classifier.weight"));
        assert!(!known("resnet18", "conv1.weight"));
        assert!(!known("resnet18", "fc.weights"));
    }
}
