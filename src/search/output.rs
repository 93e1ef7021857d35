//! Neighbour lists as a file: `NN.csv`.

use std::path::Path;

use crate::error::Result;
use crate::files::write_whole;
use crate::lists::Lists;

/// Writes `row,neighbour,score`: rows counted from 0, each row's neighbours best first, scores in the
/// fewest digits that read back as the same f64. Whole or not at all.
///
/// # Errors
/// What the disk says.
pub fn write_neighbours(path: impl AsRef<Path>, lists: &Lists) -> Result<()> {
    write_whole(path, |out| {
        out.write_all(b"row,neighbour,score\n")?;
        for (row, list) in lists.iter().enumerate() {
            for (neighbour, score) in list.iter() {
                writeln!(out, "{row},{neighbour},{score}")?;
            }
        }
        Ok(())
    })
}
