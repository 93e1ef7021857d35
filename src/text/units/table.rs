//! The units that are known, and what they measure.

/// What a quantity measures or counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// In grams.
    Mass,
    /// In millilitres.
    Volume,
    /// In millimetres.
    Length,
    /// Two or three lengths, as written and in millimetres.
    Size,
    /// In megabytes.
    Memory,
    /// In megahertz.
    Frequency,
    /// In watts.
    Power,
    /// In milliampere hours.
    Charge,
    /// In megapixels.
    Pixels,
    /// Pieces.
    Pieces,
    /// Packs, boxes, sets.
    Packs,
}

/// The words of units, and how many of its category's unit each is.
const UNITS: &[(&str, Category, f64)] = &[
    ("mcg", Category::Mass, 1e-6),
    ("mg", Category::Mass, 1e-3),
    ("g", Category::Mass, 1.0),
    ("gr", Category::Mass, 1.0),
    ("grm", Category::Mass, 1.0),
    ("gram", Category::Mass, 1.0),
    ("grams", Category::Mass, 1.0),
    ("ons", Category::Mass, 100.0),
    ("kg", Category::Mass, 1e3),
    ("kgs", Category::Mass, 1e3),
    ("kilo", Category::Mass, 1e3),
    ("kilogram", Category::Mass, 1e3),
    ("lb", Category::Mass, 453.592),
    ("lbs", Category::Mass, 453.592),
    ("oz", Category::Mass, 28.35),
    ("ml", Category::Volume, 1.0),
    ("mili", Category::Volume, 1.0),
    ("cc", Category::Volume, 1.0),
    ("cl", Category::Volume, 10.0),
    ("l", Category::Volume, 1e3),
    ("lt", Category::Volume, 1e3),
    ("ltr", Category::Volume, 1e3),
    ("liter", Category::Volume, 1e3),
    ("litre", Category::Volume, 1e3),
    ("liters", Category::Volume, 1e3),
    ("litres", Category::Volume, 1e3),
    ("mm", Category::Length, 1.0),
    ("cm", Category::Length, 10.0),
    ("m", Category::Length, 1e3),
    ("mtr", Category::Length, 1e3),
    ("meter", Category::Length, 1e3),
    ("metre", Category::Length, 1e3),
    ("meters", Category::Length, 1e3),
    ("yard", Category::Length, 914.4),
    ("inch", Category::Length, 25.4),
    ("inchi", Category::Length, 25.4),
    ("inches", Category::Length, 25.4),
    ("ft", Category::Length, 304.8),
    ("feet", Category::Length, 304.8),
    ("kb", Category::Memory, 1e-3),
    ("mb", Category::Memory, 1.0),
    ("gb", Category::Memory, 1e3),
    ("tb", Category::Memory, 1e6),
    ("mhz", Category::Frequency, 1.0),
    ("ghz", Category::Frequency, 1e3),
    ("w", Category::Power, 1.0),
    ("watt", Category::Power, 1.0),
    ("watts", Category::Power, 1.0),
    ("mah", Category::Charge, 1.0),
    ("mp", Category::Pixels, 1.0),
    ("megapixel", Category::Pixels, 1.0),
    ("megapixels", Category::Pixels, 1.0),
    ("pc", Category::Pieces, 1.0),
    ("pcs", Category::Pieces, 1.0),
    ("pce", Category::Pieces, 1.0),
    ("piece", Category::Pieces, 1.0),
    ("pieces", Category::Pieces, 1.0),
    ("buah", Category::Pieces, 1.0),
    ("bh", Category::Pieces, 1.0),
    ("biji", Category::Pieces, 1.0),
    ("lembar", Category::Pieces, 1.0),
    ("sheet", Category::Pieces, 1.0),
    ("sheets", Category::Pieces, 1.0),
    ("sachet", Category::Pieces, 1.0),
    ("sachets", Category::Pieces, 1.0),
    ("kapsul", Category::Pieces, 1.0),
    ("tablet", Category::Pieces, 1.0),
    ("tablets", Category::Pieces, 1.0),
    ("lusin", Category::Pieces, 12.0),
    ("kodi", Category::Pieces, 20.0),
    ("pack", Category::Packs, 1.0),
    ("packs", Category::Packs, 1.0),
    ("pak", Category::Packs, 1.0),
    ("pk", Category::Packs, 1.0),
    ("box", Category::Packs, 1.0),
    ("boxes", Category::Packs, 1.0),
    ("dus", Category::Packs, 1.0),
    ("karton", Category::Packs, 1.0),
    ("set", Category::Packs, 1.0),
    ("sets", Category::Packs, 1.0),
];

/// Words behind which a number counts pieces: `isi 12`, `pack of 3`.
pub(super) const COUNTS: &[&str] = &["isi", "of"];

/// The unit that `word` is, in lower case.
pub(super) fn unit(word: &str) -> Option<(Category, f64)> {
    let found = UNITS.iter().find(|(name, ..)| *name == word);
    found.map(|&(_, category, factor)| (category, factor))
}
