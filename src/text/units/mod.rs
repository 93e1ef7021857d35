//! Units and quantities in titles: 200 g is not 500 g.
//!
//! A title's quantities are read as sellers write them (`200gr`, `1,5 liter`, `3 x 100 ml`, `isi 12`,
//! `60x90 cm`), in a category and in one unit a category. Two titles **conflict** when they share a category
//! and agree on no quantity of any that they share (the rule of the competition's eighteenth place).

mod read;
mod table;

pub use table::Category;

/// A quantity: its category, and its value in thousandths of the category's unit; sizes have up to three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    /// What is counted or measured.
    pub category: Category,
    /// The value; values that a quantity has not are 0.
    pub value: [i64; 3],
}

/// The quantities of a title, each once, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quantities {
    all: Vec<Quantity>,
}

impl Quantities {
    /// Reads a title. A number that can be read in two ways (`1.250` is one and a quarter, or a thousand and
    /// more) stands as both, so that it conflicts with neither.
    ///
    /// ```
    /// use doppel::text::units::Quantities;
    /// let read = |title| Quantities::of(title);
    /// assert!(read("Gula pasir 500gr").conflicts(&read("gula 1 kg")));
    /// assert!(!read("Gula pasir 1000 gram").conflicts(&read("gula 1kg")));
    /// assert!(!read("Gula pasir").conflicts(&read("gula 1kg")));
    /// ```
    pub fn of(title: &str) -> Self {
        let mut all = read::quantities(title);
        all.sort_unstable();
        all.dedup();
        Quantities { all }
    }

    /// All of them.
    pub fn all(&self) -> &[Quantity] {
        &self.all
    }

    /// Whether the title has none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether the two share a category and agree on no quantity.
    pub fn conflicts(&self, other: &Quantities) -> bool {
        let (mut a, mut b) = (&self.all[..], &other.all[..]);
        let mut shared = false;
        while let (Some(x), Some(y)) = (a.first(), b.first()) {
            if x == y {
                return false;
            }
            shared |= x.category == y.category;
            match x < y {
                true => a = &a[1..],
                false => b = &b[1..],
            }
        }
        shared
    }
}

#[cfg(test)]
mod tests;
