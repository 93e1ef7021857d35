//! The keys of what is done behind the fusion rule.

use std::path::Path;

use super::print::{braced, float, quoted};
use super::space::Keys;
use super::table::{Table, Value};
use crate::error::{Error, Result};
use crate::groups::{Agglomerate, Answer, Attach, Cut, Grouping};
use crate::limits::MAX_MATCHES;
use crate::recipe::{After, Conflicts, PairRule};

const ANSWERS: [(&str, Answer); 2] = [("group", Answer::Group), ("neighbours", Answer::Neighbours)];
const BY: [(&str, By); 3] = [
    ("components", By::Components),
    ("agglomerate", By::Agglomerate),
    ("attach", By::Attach),
];

#[derive(Clone, Copy)]
enum By {
    Components,
    Agglomerate,
    Attach,
}

/// What the file asks for.
pub fn read(table: &Table<'_>, folder: &Path) -> Result<After> {
    let get = |key| table.get("", key);
    Ok(After {
        pair_model: get("pair_model")
            .map(|v| pair_model(&v, folder))
            .transpose()?,
        conflicts: get("conflicts").map_or(Ok(Conflicts::default()), |v| conflicts(&v))?,
        groups: get("groups").map(|v| groups(&v)).transpose()?,
        chisel: get("chisel").map_or(Ok(Vec::new()), |v| shares(&v))?,
    })
}

/// The keys that are off their defaults, with their values.
pub fn print(after: &After) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    out.extend(after.pair_model.as_ref().map(|rule| {
        let mut entries = vec![format!("file = {}", quoted(&rule.file.to_string_lossy()))];
        entries.extend(rule.above.map(|above| format!("above = {}", float(above))));
        entries.extend(rule.calibrated.then(|| "calibrated = true".to_string()));
        ("pair_model", braced(&entries))
    }));
    if !after.conflicts.is_empty() {
        out.push(("conflicts", named(&after.conflicts)));
    }
    out.extend(after.groups.as_ref().map(|g| ("groups", grouping(g))));
    if !after.chisel.is_empty() {
        out.push(("chisel", pairs(&after.chisel)));
    }
    out
}

/// `["units"]`.
pub fn conflicts(value: &Value<'_>) -> Result<Conflicts> {
    let mut conflicts = Conflicts::default();
    for kind in value.list()? {
        kind.one_of(&[("units", ())])?;
        conflicts.units = true;
    }
    Ok(conflicts)
}

pub fn named(conflicts: &Conflicts) -> String {
    match conflicts.units {
        true => "[\"units\"]".to_string(),
        false => "[]".to_string(),
    }
}

fn pair_model(value: &Value<'_>, folder: &Path) -> Result<PairRule> {
    let keys = Keys::of(value)?;
    keys.only("a pair model", &["file", "above", "calibrated"])?;
    let missing = || {
        value
            .wrong("has no file")
            .mend("give file = \"pairs.json\", say")
    };
    Ok(PairRule {
        file: keys.path("file", folder)?.ok_or_else(missing)?,
        above: keys.number("above")?,
        calibrated: keys.flag("calibrated", false)?,
    })
}

/// A file, and a probability.
pub fn check_pair_model(rule: &PairRule) -> Result<()> {
    if rule.file.as_os_str().is_empty() {
        return Err(Error::input("the file has no name").mend("give the model's file"));
    }
    match rule.above.filter(|above| !(0.0..=1.0).contains(above)) {
        Some(above) => Err(Error::input(format!("a pair matches above {above}"))
            .mend("give a probability from 0 to 1")),
        None => Ok(()),
    }
}

fn groups(value: &Value<'_>) -> Result<Grouping> {
    let keys = Keys::of(value)?;
    let missing = || {
        value
            .wrong("do not say how they are made")
            .mend("give by = \"components\", \"agglomerate\" or \"attach\"")
    };
    let by = keys.one_of("by", &BY)?.ok_or_else(missing)?;
    let number = |key, default| Ok::<_, Error>(keys.number(key)?.unwrap_or(default));
    match by {
        By::Components => {
            let known = ["by", "reciprocal", "over", "weak", "betweenness", "answer"];
            keys.only("groups by components", &known)?;
            let default = Cut::SECOND;
            Ok(Grouping::Components(Cut {
                reciprocal: keys.flag("reciprocal", default.reciprocal)?,
                over: keys.count("over")?.unwrap_or(default.over),
                weak: number("weak", default.weak)?,
                betweenness: number("betweenness", default.betweenness)?,
                answer: keys.one_of("answer", &ANSWERS)?.unwrap_or_default(),
            }))
        }
        By::Agglomerate => {
            keys.only(
                "groups by agglomeration",
                &["by", "mean", "floors", "floor"],
            )?;
            let default = Agglomerate::default();
            Ok(Grouping::Agglomerate(Agglomerate {
                mean: number("mean", default.mean)?,
                floors: keys
                    .get("floors")
                    .map_or(Ok(default.floors), |v| shares(&v))?,
                floor: number("floor", default.floor)?,
            }))
        }
        By::Attach => {
            keys.only("groups by attaching", &["by", "start", "attach", "merge"])?;
            let default = Attach::FIFTH;
            Ok(Grouping::Attach(Attach {
                start: number("start", default.start)?,
                attach: number("attach", default.attach)?,
                merge: number("merge", default.merge)?,
            }))
        }
    }
}

fn grouping(groups: &Grouping) -> String {
    let float = |key: &str, x: f64| format!("{key} = {}", float(x));
    let entries = match groups {
        Grouping::Components(c) => vec![
            "by = \"components\"".to_string(),
            format!("reciprocal = {}", c.reciprocal),
            format!("over = {}", c.over),
            float("weak", c.weak),
            float("betweenness", c.betweenness),
            match c.answer {
                Answer::Group => "answer = \"group\"".to_string(),
                Answer::Neighbours => "answer = \"neighbours\"".to_string(),
            },
        ],
        Grouping::Agglomerate(a) => vec![
            "by = \"agglomerate\"".to_string(),
            float("mean", a.mean),
            format!("floors = {}", pairs(&a.floors)),
            float("floor", a.floor),
        ],
        Grouping::Attach(a) => vec![
            "by = \"attach\"".to_string(),
            float("start", a.start),
            float("attach", a.attach),
            float("merge", a.merge),
        ],
    };
    braced(&entries)
}

/// `[[2, 0.5], [3, 0.2]]`: a size and a number each.
fn shares(value: &Value<'_>) -> Result<Vec<(usize, f64)>> {
    let pair = |pair: &Value<'_>| match &pair.list()?[..] {
        [size, number] => Ok((size.count()?, number.number()?)),
        other => Err(pair
            .wrong(&format!("has {} numbers", other.len()))
            .mend("give a size and a number, as in [2, 0.5]")),
    };
    value.list()?.iter().map(pair).collect()
}

fn pairs(all: &[(usize, f64)]) -> String {
    let pairs: Vec<String> = all
        .iter()
        .map(|(n, x)| format!("[{n}, {}]", float(*x)))
        .collect();
    format!("[{}]", pairs.join(", "))
}

/// Sizes from 1 up that rise, and shares that are at most all.
pub fn check_chisel(shares: &[(usize, f64)]) -> Result<()> {
    let wrong = |message: String, mend: &str| Err(Error::input(message).mend(mend));
    if let Some((size, share)) = shares.iter().find(|s| !(0.0..=1.0).contains(&s.1)) {
        return wrong(
            format!("the share of size {size} is {share}"),
            "give a share from 0 to 1",
        );
    }
    if !shares.is_sorted_by(|a, b| a.0 < b.0) || shares.first().is_some_and(|s| s.0 == 0) {
        return wrong(
            "the sizes of chisel do not rise from 1".to_string(),
            "give each size once, the smallest first",
        );
    }
    if let Some((size, _)) = shares.last().filter(|s| s.0 > MAX_MATCHES) {
        return wrong(
            format!("a size of chisel is {size}"),
            "a listing has at most 50 matches",
        );
    }
    match shares.iter().map(|s| s.1).sum::<f64>() {
        sum if sum > 1.0 + 1e-9 => wrong(
            format!("the shares of chisel are {sum} together"),
            "give shares of all listings, 1 together at most",
        ),
        _ => Ok(()),
    }
}
