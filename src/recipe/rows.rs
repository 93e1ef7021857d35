//! The rows of one space of a recipe, for what looks at rows and not at matches.

use std::sync::Arc;

use super::stages::{Stage, Watch};
use super::{Job, Run};
use crate::error::{Error, Result};
use crate::listings::Ledger;
use crate::tensor::Rows;

/// A space's rows and what there is to say of them.
pub struct SpaceRows {
    /// The rows, one a listing, as the space's own steps left them.
    pub rows: Arc<Rows>,
    /// What could not be used.
    pub ledger: Ledger,
    /// What the reader should know.
    pub notes: Vec<String>,
    /// The stages, in order.
    pub stages: Vec<Stage>,
}

/// The rows of the space `name` of `job`'s listings.
///
/// # Errors
/// As [`run`](super::run); a space that the recipe has not, or that has no rows.
pub fn space_rows(job: &Job<'_>, name: &str, watch: &dyn Watch) -> Result<SpaceRows> {
    let spaces = &job.recipe.spaces;
    let Some(space) = spaces.iter().position(|s| s.name == name) else {
        let names: Vec<&str> = spaces.iter().map(|s| s.name.as_str()).collect();
        let message = format!("the recipe {} has no space {name}", job.recipe.name);
        return Err(Error::input(message).mend(format!("its spaces are {}", names.join(", "))));
    };
    let mut run = Run::new(job, watch)?;
    run.plan(&[space])?;
    run.gather(space)?;
    let Some(rows) = run.rows(space)? else {
        return Err(Error::input(format!("the space {name} has no rows"))
            .mend("name a space of rows: of titles, of images, from a file"));
    };
    let (ledger, notes, stages) = run.said();
    Ok(SpaceRows {
        rows,
        ledger,
        notes,
        stages,
    })
}
