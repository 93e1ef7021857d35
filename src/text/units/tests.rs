use super::Category::*;
use super::*;

/// The quantities of a title, in their categories' units.
fn read(title: &str) -> Vec<(Category, Vec<f64>)> {
    let all = Quantities::of(title).all;
    let value = |q: &Quantity| {
        q.value
            .iter()
            .filter(|v| **v > 0)
            .map(|&v| v as f64 / 1000.0)
            .collect()
    };
    all.iter().map(|q| (q.category, value(q))).collect()
}

fn one(category: Category, value: f64) -> Vec<(Category, Vec<f64>)> {
    vec![(category, vec![value])]
}

#[test]
fn one_number_with_its_unit() {
    let cases = [
        ("Gula pasir 500gr", Mass, 500.0),
        ("GULA PASIR 500 GRAM", Mass, 500.0),
        ("Beras 2,5 kg", Mass, 2500.0),
        ("Beras 2.5KG", Mass, 2500.0),
        ("teri 1 ons", Mass, 100.0),
        ("Vitamin C 1000mg", Mass, 1.0),
        ("kopi 1/2 kg", Mass, 500.0),
        ("Minyak goreng 2 liter", Volume, 2000.0),
        ("minyak goreng 2L", Volume, 2000.0),
        ("MAMA LEMON 780ML", Volume, 780.0),
        ("parfum 30 ml.", Volume, 30.0),
        ("(botol 0,6 l)", Volume, 600.0),
        ("Kabel USB 2m", Length, 2000.0),
        ("kabel 150 cm", Length, 1500.0),
        ("TV 32 inch", Length, 812.8),
        ("TV 32\" LED", Length, 812.8),
        ("Flashdisk 16GB", Memory, 16_000.0),
        ("hard disk 1 TB", Memory, 1_000_000.0),
        ("250-GB drive", Memory, 250_000.0),
        ("lampu 12 watt", Power, 12.0),
        ("powerbank 10000 mAh", Charge, 10_000.0),
        ("camera 8.1 megapixel", Pixels, 8.1),
        ("Masker 50 pcs", Pieces, 50.0),
        ("masker isi 50", Pieces, 50.0),
        ("masker isi50", Pieces, 50.0),
        ("masker isi: 50", Pieces, 50.0),
        ("masker (isi 50 lembar)", Pieces, 50.0),
        ("pack of 3 shirts", Pieces, 3.0),
        ("kaos kaki 1 lusin", Pieces, 12.0),
        ("arcserve oem 30pk", Packs, 30.0),
        ("3-pack batteries", Packs, 3.0),
    ];
    for (title, category, value) in cases {
        let read = read(title);
        match title.contains("1/2") {
            true => assert!(read.contains(&(category, vec![value])), "{title}: {read:?}"),
            false => assert_eq!(read, one(category, value), "{title}"),
        }
    }
}

#[test]
fn what_is_no_quantity() {
    for title in [
        "",
        "Sony Turntable - PSLX350H",
        "Bose Acoustimass 5 Series III Speaker System - AM53BK",
        "Sony Switcher - SBV40S",
        "iPhone 5s",
        "modem 4G LTE",
        "3in1 connector",
        "Samsung A51",
        "office 2007 upgrade",
        "5girls",
        "200g3x",
        "kode 812345678901 g",
        "1.2.3.4 g",
        "g 5",
        "0 kg",
    ] {
        assert_eq!(read(title), [], "{title}");
    }
}

#[test]
fn products() {
    let (pieces, volume) = ((Pieces, vec![3.0]), (Volume, vec![100.0]));
    for title in [
        "sabun 3 x 100 ml",
        "sabun 3x100ml",
        "sabun 100ml x 3",
        "sabun 100mlx3",
        "sabun 3 × 100 ml",
    ] {
        assert_eq!(read(title), [volume.clone(), pieces.clone()], "{title}");
    }
    assert_eq!(
        read("60x90 cm"),
        [(Size, vec![90.0, 60.0]), (Size, vec![900.0, 600.0])]
    );
    assert_eq!(read("handuk 90 X 60"), [(Size, vec![90.0, 60.0])]);
    assert_eq!(
        read("60cm x 90cm"),
        [(Size, vec![90.0, 60.0]), (Size, vec![900.0, 600.0])]
    );
    assert_eq!(read("box 10x20x30"), [(Size, vec![30.0, 20.0, 10.0])]);
    // Two ways to read one number.
    assert_eq!(
        read("Gula 1.250 gr"),
        [(Mass, vec![1.25]), (Mass, vec![1250.0])]
    );
    assert_eq!(read("0.125 kg"), one(Mass, 125.0));
    assert_eq!(
        read("100-200 gr"),
        [(Mass, vec![100.0]), (Mass, vec![200.0])]
    );
    assert_eq!(
        read("1 box isi 50 pcs"),
        [(Pieces, vec![50.0]), (Packs, vec![1.0])]
    );
}

#[test]
fn conflicts() {
    let cases = [
        ("Gula 200 g", "Gula 500 g", true),
        ("Gula 1000 g", "Gula 1kg", false),
        ("Gula 1.000 gr", "Gula 1 kg", false),
        ("Gula 200 g", "Gula", false),
        ("Gula 200 g", "Gula 2 liter", false),
        // One category differs, another agrees.
        ("Masker isi 50 100 gr", "Masker isi 50 120 gr", false),
        ("Masker isi 50 100 gr", "Masker isi 40 120 gr", true),
        ("flashdisk 16 GB", "flashdisk 32GB", true),
        ("handuk 60x90", "handuk 90 x 60 cm", false),
        ("handuk 60x90 cm", "handuk 600x900 mm", false),
        ("handuk 60x90", "handuk 70x140", true),
        ("popok 1 pack isi 30", "popok 1 pcs", true),
        ("kopi 1/2 kg", "kopi 500 gram", false),
        ("susu 3 x 200 ml", "susu 200ml isi 3", false),
        ("susu 3 x 200 ml", "susu 200ml", false),
        ("susu 3 x 200 ml", "susu 3 x 100ml", false),
        ("susu 6 x 200 ml", "susu 3 x 100ml", true),
        ("TV 32 inch", "TV 40\"", true),
    ];
    for (a, b, conflict) in cases {
        let (x, y) = (Quantities::of(a), Quantities::of(b));
        assert_eq!(x.conflicts(&y), conflict, "{a} / {b}: {x:?} {y:?}");
        assert_eq!(y.conflicts(&x), conflict, "{b} / {a}");
        assert!(!x.conflicts(&x), "{a}");
    }
}

#[test]
fn any_title_can_be_read() {
    let mut random = fastrand::Rng::with_seed(9);
    let pieces = [
        "1",
        "23",
        ".",
        ",",
        "x",
        " ",
        "kg",
        "-",
        "/",
        "isi",
        "é",
        "×",
        "\"",
        "999999999999",
        "pcs",
        ":",
    ];
    for _ in 0..5000 {
        let title: String = (0..random.usize(0..12))
            .map(|_| pieces[random.usize(0..pieces.len())])
            .collect();
        let read = Quantities::of(&title);
        assert!(!read.conflicts(&read), "{title}");
    }
}
