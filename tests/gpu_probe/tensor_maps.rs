//! Tensor maps, on the made-up card.

use doppel::device::gpu::CudaDriver;
use doppel::device::gpu::driver::{Driver, Swizzle, TensorCopy, TensorMap, TensorShape};
use doppel::error::Kind;

use crate::card::MADE_UP;
use crate::made_up::Library;

fn matrix() -> TensorShape {
    TensorShape {
        address: 0x7000,
        element: 2,
        dims: vec![72, 300],
        strides: vec![144],
        swizzle: Swizzle::B128,
        copy: TensorCopy::Tile(vec![64, 128]),
    }
}

fn images() -> TensorShape {
    TensorShape {
        address: 0x8000,
        element: 4,
        dims: vec![64, 17, 9, 3],
        strides: vec![256, 4352, 39168],
        swizzle: Swizzle::B64,
        copy: TensorCopy::Im2col {
            lower: [-1, -2],
            upper: [-1, 0],
            channels: 16,
            pixels: 128,
            steps: [2, 1],
        },
    }
}

pub fn child() {
    let card = CudaDriver::open_with(0, MADE_UP).unwrap();
    if card.info().arch < 90 {
        let error = card.tensor_map(&matrix()).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        println!("OUT {error}");
        return;
    }
    let filled = |byte: u8| TensorMap([u64::from_ne_bytes([byte; 8]); 16]);
    assert_eq!(card.tensor_map(&matrix()).unwrap(), filled(7));
    assert_eq!(card.tensor_map(&images()).unwrap(), filled(8));
    for wrong in [
        TensorShape {
            strides: vec![],
            ..matrix()
        },
        TensorShape {
            element: 8,
            ..matrix()
        },
        TensorShape {
            copy: images().copy,
            ..matrix()
        },
    ] {
        println!("OUT {}", card.tensor_map(&wrong).unwrap_err());
    }
}

#[test]
fn tensor_maps_reach_the_driver_as_they_were_asked_for() {
    let Some(library) = Library::build(&[]) else {
        return;
    };
    let (out, log) = library.run("tensor maps", &[]);
    let maps: Vec<&String> = log.iter().filter(|l| l.contains("TensorMap")).collect();
    assert_eq!(
        maps,
        [
            "cuTensorMapEncodeTiled type 6 at 7000 dims 72,300 strides 144 box 64,128 steps 1,1 \
             modes 0 3 2 0 aligned 0",
            "cuTensorMapEncodeIm2col type 7 at 8000 dims 64,17,9,3 strides 256,4352,39168 corners \
             -1,-2 -1,0 channels 16 pixels 128 steps 1,2,1,1 modes 0 2 2 0",
        ]
    );
    assert_eq!(out.len(), 3);
    assert!(out[1].contains("elements have 1, 2 or 4 bytes"), "{out:?}");
    assert!(out[0].contains("do not go together") && out[2].contains("do not go together"));
}

#[test]
fn a_card_before_hopper_has_no_tensor_maps() {
    let Some(library) = Library::build(&[]) else {
        return;
    };
    let (out, _) = library.run("tensor maps", &[("FAKE_ARCH", "89")]);
    assert_eq!(out.len(), 1);
    assert!(out[0].contains("has no bulk tensor copies"), "{out:?}");
}
