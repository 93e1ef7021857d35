//! `engine bench`.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use doppel::bench::{self, Bench, Case, Checked, Measured, Sizes};
use doppel::device::Precision;
use doppel::error::{Error, Kind, Result};
use doppel::files::write_whole;
use serde_json::{Value, json};

use crate::common::{Common, Done, say};

#[derive(Args)]
#[command(
    after_help = "Examples:\n  engine bench --device cuda --out benches/runs/2026-12-01-h200.json\n  \
    engine bench --filter gemm --rounds 5\n  engine bench --small --check\n\nWithout a card the CPU is measured, \
    in single precision; `--device cuda` where there is none ends with exit code 2."
)]
pub struct Arguments {
    /// Measure only what has this in its name, or is asked for by this encoder
    #[arg(long, value_name = "WORDS", default_value = "")]
    filter: String,
    /// How often each operation is timed; the median counts
    #[arg(long, value_name = "N", default_value_t = 7)]
    rounds: usize,
    /// Images of one run; 0 is 32 on a card and 1 on the CPU
    #[arg(long, value_name = "N", default_value_t = 0)]
    batch: usize,
    /// Height and width of the images
    #[arg(long, value_name = "PX", default_value_t = 512)]
    size: usize,
    /// Rows of the searches
    #[arg(long, value_name = "N", default_value_t = 70_000)]
    rows: usize,
    /// Tiny shapes instead: to see it work
    #[arg(long)]
    small: bool,
    /// Compare with the oracle instead of timing, on tiny shapes
    #[arg(long)]
    check: bool,
    /// Only list what would be measured
    #[arg(long)]
    list: bool,
    /// Write the record here, as JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pub common: Common,
}

pub fn run(a: &Arguments) -> Result<Done> {
    let mut bench = Bench::open(&a.common.device, a.rounds)?;
    if let (Some(stored), Some(_)) = (a.common.precision, &bench.card) {
        bench.precision = stored.into();
    }
    let sizes = a.sizes(&bench);
    let cases: Vec<Case> = bench::cases(&*bench.device, &sizes)?
        .into_iter()
        .filter(|case| wanted(case, &a.filter))
        .collect();
    if cases.is_empty() {
        return Err(Error::input(format!("nothing is called {:?}", a.filter))
            .mend("see engine bench --list"));
    }
    a.common.print(&format!(
        "{}: {} cases, {} rounds",
        bench.device.info().name,
        cases.len(),
        bench.rounds
    ));
    let record = if a.list {
        cases.iter().for_each(|case| a.common.print(&case.name));
        json!({"cases": cases.iter().map(|c| &c.name).collect::<Vec<_>>()})
    } else if a.check {
        let checked = check(a, &bench, &cases)?;
        merged(facts(a, &bench, &sizes), "checked", checked)
    } else {
        let measured = measure(a, &bench, &cases)?;
        let record = merged(facts(a, &bench, &sizes), "encoders", encoders(&measured));
        let results = measured.iter().map(result).collect();
        merged(record, "results", Value::Array(results))
    };
    if let Some(path) = &a.out {
        let text = format!("{record:#}\n");
        write_whole(path, |w| w.write_all(text.as_bytes()))?;
    }
    a.common.result(&record);
    Ok(Done::Clean)
}

impl Arguments {
    fn sizes(&self, bench: &Bench) -> Sizes {
        if self.small || self.check {
            return Sizes::small(bench.precision);
        }
        let batch = match (self.batch, bench.precision) {
            (0, Precision::F32) => 1,
            (0, _) => 32,
            (n, _) => n,
        };
        Sizes {
            side: self.size,
            rows: self.rows,
            ..Sizes::whole(batch, bench.precision)
        }
    }
}

fn wanted(case: &Case, filter: &str) -> bool {
    case.name.contains(filter) || case.uses.iter().any(|(name, _)| name == filter)
}

/// The kernels' times, a line each as they come.
fn measure(a: &Arguments, bench: &Bench, cases: &[Case]) -> Result<Vec<Measured>> {
    a.common.print(&format!(
        "{:>12} {:>9} {:>9} {:>7}  operation",
        "us", "TFLOP/s", "GB/s", "floor"
    ));
    let mut all = Vec::with_capacity(cases.len());
    for case in cases {
        let measured = match bench.measure(case) {
            // The others may fit.
            Err(e) if e.kind() == Kind::Limit => {
                say(&format!("note: {}: {e}", case.name));
                continue;
            }
            other => other?,
        };
        a.common.print(&line(&measured));
        all.push(measured);
    }
    Ok(all)
}

fn line(m: &Measured) -> String {
    if let Some(why) = &m.refused {
        return format!(
            "{:>12} {:>9} {:>9} {:>7}  {} ({why})",
            "-", "-", "-", "-", m.name
        );
    }
    let share = m
        .share()
        .map_or("-".into(), |s| format!("{:.0} %", 100.0 * s));
    format!(
        "{:>12.2} {:>9.3} {:>9.1} {share:>7}  {}",
        m.microseconds(),
        m.tflops(),
        m.gbps(),
        m.name
    )
}

/// How far each operation is from the oracle.
fn check(a: &Arguments, bench: &Bench, cases: &[Case]) -> Result<Value> {
    let mut all: Vec<Checked> = Vec::new();
    for case in cases {
        let Some(checked) = bench::check(bench, case)? else {
            continue;
        };
        a.common
            .print(&format!("{:>12.2e}  {}", checked.error, checked.name));
        all.push(checked);
    }
    let one = |c: &Checked| {
        // JSON has no infinity.
        let error = c.error.is_finite().then_some(c.error);
        json!({"name": c.name, "family": c.family, "error": error})
    };
    Ok(Value::Array(all.iter().map(one).collect()))
}

fn result(m: &Measured) -> Value {
    let uses: serde_json::Map<String, Value> = m
        .uses
        .iter()
        .map(|(name, n)| (name.clone(), json!(n)))
        .collect();
    match &m.refused {
        Some(why) => json!({"name": m.name, "family": m.family, "uses": uses, "refused": why}),
        None => json!({
            "name": m.name,
            "family": m.family,
            "kernels": m.kernels,
            "uses": uses,
            "flops": m.flops,
            "bytes": m.bytes,
            "microseconds": m.microseconds(),
            "rounds": m.seconds.iter().map(|s| 1e6 * s).collect::<Vec<_>>(),
            "tflops": m.tflops(),
            "gbps": m.gbps(),
            "floor_share": m.share(),
        }),
    }
}

/// Each encoder: the sum of its operations, and how many of them were not measured.
fn encoders(all: &[Measured]) -> Value {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in all.iter().flat_map(|m| &m.uses) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let sum = |name: &&str| {
        let (mut microseconds, mut missing) = (0.0, 0);
        for m in all {
            let times = m
                .uses
                .iter()
                .find(|(user, _)| user == name)
                .map_or(0, |u| u.1);
            match m.refused {
                Some(_) => missing += times,
                None => microseconds += times as f64 * m.microseconds(),
            }
        }
        json!({"name": name, "microseconds": microseconds, "not_measured": missing})
    };
    Value::Array(names.iter().map(sum).collect())
}

/// When, where and how large.
fn facts(a: &Arguments, bench: &Bench, sizes: &Sizes) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let info = bench.device.info();
    json!({
        "unix_seconds": now.map_or(0, |t| t.as_secs()),
        "version": env!("CARGO_PKG_VERSION"),
        "device": {"kind": info.kind, "name": info.name},
        "threads": rayon::current_num_threads(),
        "precision": bench.precision.dtype().to_string(),
        "rounds": a.rounds,
        "sizes": {"batch": sizes.batch, "side": sizes.side, "titles": sizes.titles, "rows": sizes.rows,
            "classes": sizes.classes, "tokens_a_title": bench::BERT_TOKENS},
    })
}

fn merged(mut record: Value, key: &str, value: Value) -> Value {
    record[key] = value;
    record
}
