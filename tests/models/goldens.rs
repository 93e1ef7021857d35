//! Every architecture against timm's own model, with the same seeded weights and images.

use doppel::nn::formula;

use crate::common::{Case, LIMIT, ODD, apart, cpu, farthest, plan, run};

/// One image at a time, as the encoder does on a CPU; at the odd size all six in one run.
fn check(label: &'static str) {
    let (case, device) = (Case::new(label), cpu());
    let weights = formula::weights(&case.graph(1, ODD), &case.stats());
    for size in case.sizes() {
        let want = case.reference(size);
        let images: Vec<Vec<f32>> = (0..formula::IMAGES)
            .map(|i| formula::image(i, size))
            .collect();
        let batches = match size {
            ODD => vec![images.concat()],
            _ => images,
        };
        let graph = case.graph(formula::IMAGES / batches.len(), size);
        let plan = plan(&graph, &weights, &device);
        let got: Vec<f32> = batches
            .iter()
            .flat_map(|batch| run(&plan, &device, &[batch]).remove(0))
            .collect();
        let error = farthest(&got, &want.concat()) / apart(&want);
        println!("{label} at {size}: {error:.1e}");
        assert!(error < LIMIT, "{label} at {size}: {error:.1e}");
    }
}

macro_rules! goldens {
    ($($test:ident $label:literal)*) => {
        $(
            #[test]
            fn $test() {
                check($label);
            }
        )*
    };
}

goldens! {
    resnet18 "resnet18"
    resnet50 "resnet50"
    resnext50_32x4d "resnext50_32x4d"
    densenet121 "densenet121"
    efficientnet_b0 "efficientnet_b0"
    efficientnet_b1 "efficientnet_b1"
    efficientnet_b2 "efficientnet_b2"
    efficientnet_b3 "efficientnet_b3"
    efficientnet_b4 "efficientnet_b4"
    efficientnet_b5 "efficientnet_b5"
    tf_efficientnet_b3 "tf_efficientnet_b3"
    tf_efficientnet_b5_ns "tf_efficientnet_b5_ns"
    eca_nfnet_l0 "eca_nfnet_l0"
    eca_nfnet_l1 "eca_nfnet_l1"
    efficientnet_b0_with_mish "efficientnet_b0.mish"
    eca_nfnet_l0_with_mish "eca_nfnet_l0.mish"
    resnet18_with_gem_and_head "resnet18.gem"
    efficientnet_b0_with_gem_and_head "efficientnet_b0.gem"
}
