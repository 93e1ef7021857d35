//! Queries that are answered from a gallery of other rows.

use super::resolve::{Sweeper, run};
use super::{Matches, Rule, Source};
use crate::error::{Error, Result};
use crate::limits::MAX_MATCHES;
use crate::lists::Lists;

/// Which rows take no part, as in [`resolve_capped`](super::resolve_capped).
#[derive(Debug, Clone, Copy)]
pub struct Unable<'a> {
    /// Of the queries.
    pub queries: &'a [bool],
    /// Of the gallery.
    pub gallery: &'a [bool],
}

/// The matches of the queries among the rows of a gallery under `rule`: each source's list `i` holds
/// query `i`'s neighbours in the gallery. The answers are rows of the gallery, at most `cap` a query, and
/// a query is in none of them.
///
/// The rule runs as if the query itself were there, for what counts members: a sweep stops at the first
/// step that finds one gallery row, and Min2 is for queries that found none.
///
/// # Errors
/// As [`resolve_capped`](super::resolve_capped); a [`Rule::Reciprocal`], since gallery rows have no lists.
pub fn resolve_against(
    sources: &[Source],
    rule: &Rule,
    unable: Unable<'_>,
    cap: usize,
    sweeper: Option<&dyn Sweeper>,
) -> Result<Matches> {
    if cap == 0 || cap > MAX_MATCHES {
        let message = format!("{cap} matches a row are not from 1 to {MAX_MATCHES}");
        return Err(Error::limit(message).op("match"));
    }
    if rule.has_reciprocal() {
        return Err(
            Error::input("a reciprocal rule has no meaning against a gallery")
                .op("match")
                .mend("leave `reciprocal` out, or match all listings in one file"),
        );
    }
    let (queries, gallery) = (unable.queries.len(), unable.gallery.len());
    let shifted = sources.iter().map(|source| {
        if source.lists.len() != queries {
            let error = Error::shape("match", &[source.lists.len()], &[queries]);
            let mend = format!("source {} needs one list for each query", source.name);
            return Err(error.mend(mend));
        }
        Ok(Source::new(
            source.name.as_str(),
            shift(&source.lists, gallery),
        ))
    });
    let shifted = shifted.collect::<Result<Vec<_>>>()?;
    let unable = [unable.queries, unable.gallery].concat();
    let rows = queries + gallery;
    let all = run(&shifted, rule, rows, Some(&unable), cap + 1, sweeper)?;
    Ok(all.of_queries(queries))
}

/// Lists over the rows of the queries and, behind them, of the gallery, whose own are empty.
fn shift(lists: &Lists, gallery: usize) -> Lists {
    let queries = lists.len() as u32;
    let mut all = Lists::default();
    for list in lists.iter() {
        // A neighbour outside the gallery stays outside all rows, and is told as such.
        all.push(
            list.iter()
                .map(|(row, score)| (row.saturating_add(queries), score)),
        );
    }
    (0..gallery).for_each(|_| all.push([]));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::Steps;

    fn sources() -> Vec<Source> {
        // Two queries and three gallery rows.
        let near = Lists::from_rows([vec![(1, 0.9), (0, 0.8)], vec![(0, 0.6), (2, 0.52)]]);
        vec![Source::new("near", near)]
    }

    fn answers(rule: &Rule, unable: [&[bool]; 2]) -> Vec<Vec<u32>> {
        let [queries, gallery] = unable;
        let unable = Unable { queries, gallery };
        resolve_against(&sources(), rule, unable, 50, None)
            .unwrap()
            .answers()
    }

    const ALL: [&[bool]; 2] = [&[false; 2], &[false; 3]];

    #[test]
    fn answers_are_gallery_rows_alone() {
        assert_eq!(answers(&Rule::threshold(0, 0.3), ALL), [vec![1, 0], vec![]]);
        // Row 0 of the gallery is not query 0.
        assert_eq!(
            answers(&Rule::threshold(0, 0.42), ALL),
            [vec![1, 0], vec![0]]
        );
        let sweep = Rule::sweep().over(0, Steps::new(0.15, 0.5, 0.1)).rule();
        assert_eq!(answers(&sweep, ALL), [vec![1], vec![0]]);
        let min2 = Rule::threshold(0, 0.15).min2(0, 0.42);
        assert_eq!(answers(&min2, ALL), [vec![1], vec![0]]);
    }

    #[test]
    fn rows_that_take_no_part_answer_nothing_and_are_no_answer() {
        let rule = Rule::threshold(0, 0.5);
        let some: [&[bool]; 2] = [&[true, false], &[true, false, false]];
        assert_eq!(answers(&rule, some), [vec![], vec![2]]);
    }

    #[test]
    fn the_cap_counts_gallery_rows() {
        let [queries, gallery] = ALL;
        let unable = Unable { queries, gallery };
        let rule = Rule::threshold(0, 0.5);
        let capped = resolve_against(&sources(), &rule, unable, 1, None).unwrap();
        assert_eq!(capped.answers(), [vec![1], vec![0]]);
        assert!(resolve_against(&sources(), &rule, unable, 0, None).is_err());
        let both = rule.reciprocal();
        let error = resolve_against(&sources(), &both, unable, 1, None).unwrap_err();
        assert!(error.to_string().contains("reciprocal"), "{error}");
        let short = Unable {
            queries: &[false],
            gallery,
        };
        assert!(resolve_against(&sources(), &Rule::threshold(0, 0.5), short, 1, None).is_err());
        let few = Unable {
            queries,
            gallery: &[false],
        };
        assert!(resolve_against(&sources(), &Rule::threshold(0, 0.5), few, 1, None).is_err());
    }
}
