//! Matching rules: `kernels/fusion/rule.cu`.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::driver::{Kernel, Launch, Stream};
use super::launch::{Args, blocks};
use super::launch_fusion::{check_rows, kernel, owns_lists};
use super::memory::{Card, CardMem};
use crate::device::api::Fired;
use crate::device::fusion::{CardLists, FiredRows, RuleOp, RuleProgram};
use crate::error::{Error, Result};
use crate::limits::{MAX_CARD_FIRED, MAX_CARD_MARKS};

pub(super) const KERNEL: Kernel = kernel("rule_fire");

/// `WARPS` of rule.cu.
const WARPS: usize = 4;
/// Bytes of a firing, and of the words that ordering one takes.
const FIRING: usize = size_of::<Firing>();
const WORDS: usize = 2 * 4;

/// How a rule's run is cut; no setting changes a result. [`Default`] is what everybody but a test wants.
#[derive(Debug, Clone)]
pub struct RuleTuning {
    /// Bytes of firings that one launch may leave.
    pub slab: usize,
    /// Bytes that all warps of a launch work in.
    pub scratch: usize,
}

impl Default for RuleTuning {
    fn default() -> Self {
        RuleTuning {
            slab: 1 << 28,
            scratch: 1 << 27,
        }
    }
}

/// `Op` of rule.cu.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Op {
    kind: i32,
    source: i32,
    count: i32,
    last: u32,
    x: f64,
    y: f64,
    z: f64,
}

/// `Source` of rule.cu.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Source {
    rows: u64,
    scores: u64,
    starts: u64,
    counts: u64,
    width: i64,
}

/// `Fired` of rule.cu.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Firing {
    row: u32,
    source: u32,
    score: f64,
    threshold: f64,
}

/// `Relation` of rule.cu.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Relation {
    fired: u64,
    counts: u64,
    room: i64,
}

/// A program in the kernel's form, and what a row of it may take.
struct Compiled {
    code: Vec<Op>,
    room: usize,
    marks: usize,
}

fn broken(message: String) -> Error {
    Error::internal(message).op("match")
}

/// Checks a program for `sources`, by their longest lists, and the relations before it, by their room.
fn compile(program: &[RuleOp], sources: &[&CardLists], relations: &[usize]) -> Result<Compiled> {
    let width = |source: usize| -> Result<usize> {
        let list = sources.get(source).map(|lists| lists.width);
        list.ok_or_else(|| {
            broken(format!(
                "a program names source {source} of {}",
                sources.len()
            ))
        })
    };
    let (mut code, mut marks, mut deepest, mut length, mut room) = (vec![], vec![], 0, 0, 0);
    let mut parts = 0usize;
    for &op in program {
        let swept = matches!(op, RuleOp::Swept { .. });
        if swept != (parts > 0) {
            return Err(broken(
                "a program's sweep lacks parts, or has too many".into(),
            ));
        }
        parts -= usize::from(swept);
        let mut take = |count: usize| -> Result<usize> {
            let left = marks.len().checked_sub(count).filter(|_| count > 0);
            let left =
                left.ok_or_else(|| broken("a program takes a mark that it has not".into()))?;
            let first = marks.get(left).copied().unwrap_or(0);
            marks.truncate(left);
            Ok(first)
        };
        match op {
            RuleOp::Mark => marks.push(length),
            RuleOp::Threshold { source, .. }
            | RuleOp::Equal { source }
            | RuleOp::Swept { source, .. } => length += width(source)?,
            RuleOp::Sweep { parts: count } => {
                take(1)?;
                parts = count;
            }
            RuleOp::Intersect { parts } => drop(take(parts)?),
            RuleOp::Min2 { source, .. } => {
                width(source)?;
                length = length.max(take(1)? + 1);
            }
            RuleOp::Both { relation } => {
                let known = relations.get(relation).copied();
                length += known.ok_or_else(|| broken("a relation is not known yet".into()))?;
            }
        }
        code.push(encode(op));
        (deepest, room) = (marks.len().max(deepest), length.max(room));
    }
    if parts > 0 {
        return Err(broken("a program's sweep lacks parts".into()));
    }
    if room > MAX_CARD_FIRED || deepest > MAX_CARD_MARKS {
        let message = format!("a row of this rule may fire {room} times, {deepest} marks deep");
        return Err(Error::unsupported(message).op("match"));
    }
    Ok(Compiled {
        code,
        room: room.max(1),
        marks: deepest.max(1),
    })
}

/// The kernel's numbers of an operation; `Kind` of rule.cu.
fn encode(op: RuleOp) -> Op {
    let of = |kind: i32, source: usize, count: usize, [x, y, z]: [f64; 3]| Op {
        kind,
        source: source as i32,
        count: count as i32,
        last: 0,
        x,
        y,
        z,
    };
    match op {
        RuleOp::Mark => of(0, 0, 0, [0.0; 3]),
        RuleOp::Threshold { source, distance } => of(1, source, 0, [distance, 0.0, 0.0]),
        RuleOp::Equal { source } => of(2, source, 0, [0.0; 3]),
        RuleOp::Sweep { parts } => of(3, 0, parts, [0.0; 3]),
        RuleOp::Swept {
            source,
            low,
            high,
            step,
            last,
        } => Op {
            last: last.min(i32::MAX as u32),
            ..of(4, source, 0, [low, step, high])
        },
        RuleOp::Intersect { parts } => of(5, 0, parts, [0.0; 3]),
        RuleOp::Min2 { source, distance } => of(6, source, 0, [distance, 0.0, 0.0]),
        RuleOp::Both { relation } => of(7, relation, 0, [0.0; 3]),
    }
}

/// Whose matches are asked for, and among whom; marked is who takes no part.
#[derive(Clone, Copy)]
pub(super) enum Who<'a> {
    /// Rows, among themselves.
    Alike(Option<&'a [bool]>),
    /// Queries, among the rows of a gallery.
    Apart {
        queries: &'a [bool],
        gallery: &'a [bool],
    },
}

/// What every launch of a rule takes.
struct Run<'a> {
    card: &'a Arc<Card>,
    rows: usize,
    /// How many rows neighbours are of, where these are others.
    others: Option<usize>,
    sources: Arc<CardMem>,
    /// Who is in no match, and who has none.
    unable: Option<Arc<CardMem>>,
    silent: Option<Arc<CardMem>>,
    relations: Arc<CardMem>,
    stream: Stream,
}

/// Where a launch leaves what fired.
struct Place {
    fired: u64,
    starts: u64,
    counts: u64,
    cursor: u64,
}

/// As [`Fusion::fire`](crate::device::Fusion::fire) and
/// [`Fusion::fire_against`](crate::device::Fusion::fire_against).
pub(super) fn fire(
    card: &Arc<Card>,
    rule: &RuleProgram,
    sources: &[&CardLists],
    who: Who<'_>,
    cap: usize,
    tuning: &RuleTuning,
    stream: Stream,
) -> Result<FiredRows> {
    let rows = check(card, sources, who, cap)?;
    if matches!(who, Who::Apart { .. }) && !rule.relations.is_empty() {
        return Err(broken("a gallery's rows have no relations".into()));
    }
    let mut rooms = Vec::new();
    let mut relations = Vec::new();
    for program in &rule.relations {
        let compiled = compile(program, sources, &rooms)?;
        rooms.push(compiled.room);
        relations.push(compiled);
    }
    let answer = compile(&rule.answer, sources, &rooms)?;
    let bytes = rooms
        .iter()
        .sum::<usize>()
        .saturating_mul(rows)
        .saturating_mul(FIRING);
    if bytes as u64 > card.driver.info().memory / 4 {
        let message = format!("this rule's relations take {bytes} bytes of the card");
        return Err(Error::unsupported(message).op("match"));
    }
    if rows == 0 {
        return Ok(FiredRows::default());
    }
    let held: Vec<(Arc<CardMem>, Arc<CardMem>)> = rooms
        .iter()
        .map(|room| Ok((card.array::<Firing>(rows * room)?, card.array::<u32>(rows)?)))
        .collect::<Result<_>>()?;
    let table = held
        .iter()
        .zip(&rooms)
        .map(|((fired, counts), &room)| Relation {
            fired: fired.at(),
            counts: counts.at(),
            room: room as i64,
        });
    let marks = |marked: &[bool]| {
        let bytes: Vec<u8> = marked.iter().map(|&m| u8::from(m)).collect();
        card.array_of(&bytes, stream)
    };
    let (unable, silent, others) = match who {
        Who::Alike(unable) => {
            let unable = unable.map(marks).transpose()?;
            (unable.clone(), unable, None)
        }
        Who::Apart { queries, gallery } => (
            Some(marks(gallery)?),
            Some(marks(queries)?),
            Some(gallery.len()),
        ),
    };
    let run = Run {
        card,
        rows,
        others,
        sources: card.array_of(&table_of(sources), stream)?,
        unable,
        silent,
        relations: card.array_of(&table.collect::<Vec<_>>(), stream)?,
        stream,
    };
    for (program, (fired, counts)) in relations.iter().zip(&held) {
        let place = Place {
            fired: fired.at(),
            starts: 0,
            counts: counts.at(),
            cursor: 0,
        };
        run.launch(program, 0..rows, None, &place, tuning)?;
    }
    // A row among its own neighbours counts as one of its matches.
    let keep = match who {
        Who::Alike(_) => cap - 1,
        Who::Apart { .. } => cap,
    };
    run.answer(&answer, keep, tuning)
}

/// Checks what goes together; gives the number of rows.
fn check(card: &Card, sources: &[&CardLists], who: Who<'_>, cap: usize) -> Result<usize> {
    let Some(first) = sources.first() else {
        return Err(Error::unsupported("a rule over no sources").op("match"));
    };
    if cap == 0 {
        return Err(Error::input("no matches asked for (a cap of 0)").op("match"));
    }
    if sources.len() > usize::from(u16::MAX) {
        let message = format!("{} sources are too many", sources.len());
        return Err(Error::unsupported(message).op("match"));
    }
    let rows = first.len;
    check_rows("match", rows)?;
    sources
        .iter()
        .try_for_each(|lists| owns_lists(card, lists))?;
    let lengths = sources.iter().map(|lists| lists.len);
    let marked = match who {
        Who::Alike(unable) => unable.map(<[bool]>::len),
        Who::Apart { queries, gallery } => {
            check_rows("match", gallery.len())?;
            Some(queries.len())
        }
    };
    match lengths.chain(marked).find(|&n| n != rows) {
        Some(other) => Err(Error::shape("match", &[rows], &[other])),
        None => Ok(rows),
    }
}

fn table_of(sources: &[&CardLists]) -> Vec<Source> {
    let source = |lists: &&CardLists| Source {
        rows: lists.rows.address(),
        scores: lists.scores.address(),
        starts: lists.starts.as_ref().map_or(0, |mem| mem.address()),
        counts: lists.counts.address(),
        width: lists.width as i64,
    };
    sources.iter().map(source).collect()
}

impl Run<'_> {
    /// Runs `program` over some rows; with `keep` the answer is put in order.
    fn launch(
        &self,
        program: &Compiled,
        range: std::ops::Range<usize>,
        keep: Option<usize>,
        to: &Place,
        tuning: &RuleTuning,
    ) -> Result<()> {
        let code = self.card.array_of(&program.code, self.stream)?;
        let each = WARPS * 2 * program.room * (FIRING + WORDS / 2);
        let fill = self.card.driver.info().multiprocessors as usize * 8;
        let grid = (tuning.scratch / each)
            .min(fill)
            .clamp(1, range.len().div_ceil(WARPS));
        // A relation's firings go where they stay at once.
        let room = if keep.is_some() { program.room } else { 0 };
        let scratch = self.card.array::<Firing>(grid * WARPS * 2 * room)?;
        let words = self.card.array::<u32>(grid * WARPS * 2 * room)?;
        let args = Args::default()
            .address(code.at())
            .int(program.code.len())?
            .address(self.sources.at())
            .address(self.unable.as_ref().map_or(0, |mem| mem.at()))
            .address(self.silent.as_ref().map_or(0, |mem| mem.at()))
            .address(self.relations.at())
            .address(scratch.at())
            .address(words.at())
            .address(to.fired)
            .address(to.starts)
            .address(to.counts)
            .address(to.cursor)
            .long(program.room)
            .int(self.others.unwrap_or(self.rows))?
            .int(usize::from(self.others.is_some()))?
            .int(range.start)?
            .int(range.len())?
            .int(program.marks)?
            .int(keep.unwrap_or(0))?
            .int(usize::from(keep.is_some()))?;
        let threads = 32 * WARPS;
        let how = Launch::linear(blocks(grid)?, threads as u32, 4 * WARPS * program.marks);
        // SAFETY: the arguments are those of rule.cu: `compile` checked that the program names sources and
        // relations that are there, that its marks fit and that no row fires more than `room`; `check` that
        // every source has a list a row; the places have room for all rows of the range.
        unsafe { self.card.launch(KERNEL, &how, args, self.stream) }
    }

    /// Runs the answer's program, as many rows at a time as a slab holds.
    fn answer(&self, program: &Compiled, keep: usize, tuning: &RuleTuning) -> Result<FiredRows> {
        let slab = (tuning.slab / (program.room * FIRING)).clamp(1, self.rows);
        let mut all = FiredRows::default();
        for first in (0..self.rows).step_by(slab) {
            let count = slab.min(self.rows - first);
            let fired = self.card.array::<Firing>(count * program.room)?;
            let (starts, counts) = (
                self.card.array::<u64>(count)?,
                self.card.array::<u32>(count)?,
            );
            let cursor = self.card.array_of(&[0u64], self.stream)?;
            let place = Place {
                fired: fired.at(),
                starts: starts.at(),
                counts: counts.at(),
                cursor: cursor.at(),
            };
            self.launch(program, first..first + count, Some(keep), &place, tuning)?;
            let mut total = [0u64];
            self.card.read(&cursor, &mut total, self.stream)?;
            let (mut at, mut many) = (vec![0u64; count], vec![0u32; count]);
            self.card.read(&starts, &mut at, self.stream)?;
            self.card.read(&counts, &mut many, self.stream)?;
            let total = (total[0] as usize).min(count * program.room);
            let mut slab = vec![Firing::zeroed(); total];
            self.card.read(&fired, &mut slab, self.stream)?;
            let before = all.fired.len();
            all.fired.extend(slab.iter().map(|f| Fired {
                row: f.row,
                source: f.source as u16,
                score: f.score,
                threshold: f.threshold,
            }));
            let row = |(&at, &many): (&u64, &u32)| (before + at as usize, many as usize);
            all.offsets.extend(at.iter().zip(&many).map(row));
        }
        Ok(all)
    }
}
