//! What all verbs share: the common options, output, progress and the reject summary.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use clap::{Args, ValueEnum};
use doppel::device::{self, Device, MemoryLimit, Precision};
use doppel::error::{Error, Result};
use doppel::limits;
use doppel::listings::Ledger;
use doppel::recipe::{Stage, Watch};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::Value;

/// How a verb ended.
pub enum Done {
    /// All of it went well.
    Clean,
    /// Done, but some listings lost something: see the ledger.
    Rejected,
}

/// How progress is shown.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shown {
    Auto,
    Bar,
    Lines,
    None,
}

/// How values are stored.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stored {
    F16,
    Bf16,
    F32,
}

impl From<Stored> for Precision {
    fn from(stored: Stored) -> Precision {
        match stored {
            Stored::F16 => Precision::F16,
            Stored::Bf16 => Precision::BF16,
            Stored::F32 => Precision::F32,
        }
    }
}

/// The options that every verb has.
#[derive(Args)]
pub struct Common {
    /// Where the arithmetic runs: auto, cpu, or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto", global = true)]
    pub device: String,
    /// The most of the card's memory that a run takes: bytes, as in 8G or 500M, or a part of what is
    /// free, as in 80% [default: most of what is free]
    #[arg(long, value_name = "BYTES|FRACTION%", global = true)]
    pub device_memory: Option<String>,
    /// How encoders store values on a card; sums are f32 always. Rows that overflow f16 are made again in
    /// bf16, which has the range of f32 and 8 bits [default: f16]
    #[arg(long, value_enum, value_name = "TYPE", global = true)]
    pub precision: Option<Stored>,
    /// Worker threads; 0 is one a core
    #[arg(long, value_name = "N", default_value_t = 0, global = true)]
    pub threads: usize,
    /// Print the result on stdout as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Print nothing but errors and, with --json, the result
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// How progress is shown on stderr: bars, or a plain line for the begin and the end of each stage;
    /// auto is bars on a terminal, unless --quiet
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value = "auto",
        global = true
    )]
    pub progress: Shown,
    #[arg(skip)]
    device_opened: OnceLock<Arc<dyn Device>>,
}

impl Common {
    /// Sets the threads and opens the device, before any work.
    pub fn prepare(&self) -> Result<()> {
        self.device()?;
        if self.threads > limits::MAX_THREADS {
            return Err(
                Error::limit(format!("--threads {} is too many", self.threads))
                    .mend(format!("give at most {}", limits::MAX_THREADS)),
            );
        }
        rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .build_global()
            .map_err(|e| Error::internal(format!("the worker threads did not start: {e}")))
    }

    /// The device that `--device` names, opened once.
    pub fn device(&self) -> Result<&dyn Device> {
        if self.device_opened.get().is_none() {
            let limit = self.device_memory.as_ref();
            let limit = limit.map(|text| text.parse::<MemoryLimit>()).transpose()?;
            let storage = self.precision.map(Precision::from);
            let device = device::open_storing(&self.device, storage)?;
            if storage.is_some_and(|storage| storage != device.storage()) {
                self.note("--precision is that of a card: this run is on the CPU, in f32");
            }
            let limited = limit.map(|limit| device::limit_memory(&*device, limit));
            if let Some(false) = limited.transpose()? {
                self.note("--device-memory limits a card's memory: this run is on the CPU");
            }
            let _ = self.device_opened.set(device);
        }
        match self.device_opened.get() {
            Some(device) => Ok(&**device),
            None => Err(Error::internal("the device was not opened")),
        }
    }

    /// The device that `--device` names, to keep.
    pub fn shared_device(&self) -> Result<Arc<dyn Device>> {
        self.device()?;
        match self.device_opened.get() {
            Some(device) => Ok(Arc::clone(device)),
            None => Err(Error::internal("the device was not opened")),
        }
    }

    /// The most of the card's memory that the run held, in bytes; none without a card.
    pub fn peak_device_memory(&self) -> Option<u64> {
        let device = self.device_opened.get()?;
        device.streams().map(|streams| streams.memory_peak())
    }

    /// Whether the user named a card, so that what has no card form is an error and not a detour.
    pub fn insists_on_card(&self) -> bool {
        self.device != "auto" && self.device != "cpu"
    }

    /// A line for people, on stdout; with `--json` or `--quiet` nothing.
    pub fn print(&self, text: &str) {
        if !self.json && !self.quiet {
            out(text);
        }
    }

    /// A note for people, on stderr; with `--quiet` nothing.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            say(&format!("note: {text}"));
        }
    }

    /// The machine-readable result, when it was asked for.
    pub fn result(&self, value: &Value) {
        if self.json {
            out(&value.to_string());
        }
    }

    /// Writes the ledger beside `output`, says what was lost, and gives the exit state.
    pub fn ledger(&self, ledger: &mut Ledger, output: &Path) -> Result<Done> {
        const SHOWN: usize = 20;
        let written = ledger.write_beside(output)?;
        let Some(path) = written else {
            return Ok(Done::Clean);
        };
        for reject in ledger.iter().take(SHOWN) {
            say(&format!(
                "rejected: row {} (line {}){}: column {}: {}",
                reject.row,
                reject.line,
                if reject.posting_id.is_empty() {
                    String::new()
                } else {
                    format!(" {}", reject.posting_id)
                },
                reject.column,
                reject.reason
            ));
        }
        if ledger.len() > SHOWN {
            say(&format!("rejected: and {} more", ledger.len() - SHOWN));
        }
        say(&format!(
            "{} rejects are listed in {}",
            ledger.len(),
            path.display()
        ));
        Ok(Done::Rejected)
    }
}

/// One line on stdout. A reader that went away ends the program quietly, as for any Unix tool.
pub fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    if writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .is_err()
    {
        std::process::exit(0);
    }
}

/// One line on stderr; nothing is to be done when that is closed.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// The most memory that this process has held, in bytes, where the system tells.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// The stages as JSON and the slowest one's name.
pub fn stages_json(stages: &[Stage]) -> Value {
    serde_json::to_value(stages).unwrap_or(Value::Null)
}

/// `0.123 s`, `12.3 s`, `2 min 5 s`: three digits are enough for people.
pub fn seconds(s: f64) -> String {
    if s < 0.9995 {
        format!("{s:.3} s")
    } else if s < 99.95 {
        format!("{s:.1} s")
    } else {
        format!("{} min {:.0} s", (s / 60.0) as u64, s % 60.0)
    }
}

/// `12.3`, for a rate in a unit that the template has.
fn rate(state: &ProgressState, to: &mut dyn std::fmt::Write) {
    // Nothing is to be done when a bar cannot be drawn.
    let _ = write!(to, "{:.1}", state.per_sec());
}

/// Progress on stderr, as `--progress` says.
pub struct Progress {
    shown: Shown,
    quiet: bool,
    now: Mutex<Now>,
}

/// The stage that runs.
#[derive(Default)]
struct Now {
    bar: Option<ProgressBar>,
    /// Its name and when it began, for the line at its end.
    stage: Option<(String, Instant)>,
}

impl Progress {
    pub fn new(common: &Common) -> Self {
        let bars = !common.quiet && std::io::stderr().is_terminal();
        Progress {
            quiet: common.quiet,
            shown: match common.progress {
                Shown::Auto if bars => Shown::Bar,
                Shown::Auto => Shown::None,
                chosen => chosen,
            },
            now: Mutex::new(Now::default()),
        }
    }

    fn with(&self, act: impl FnOnce(&mut Now)) {
        if self.shown != Shown::None
            && let Ok(mut now) = self.now.lock()
        {
            act(&mut now);
        }
    }
}

/// A bar for stage `name`; on what is no terminal nothing is drawn.
fn bar(name: &str, total: usize) -> ProgressBar {
    let style = match name.split(' ').next().unwrap_or_default() {
        "embed" => "{prefix:>12} {bar:30} {human_pos}/{human_len}  {rate} images/s  {eta} left",
        "titles" => "{prefix:>12} {bar:30} {human_pos}/{human_len}  {rate} titles/s  {eta} left",
        _ => "{prefix:>12} {bar:30} {human_pos}/{human_len}  {per_sec}  {eta} left",
    };
    let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style.with_key("rate", rate));
    }
    bar.set_prefix(name.to_string());
    bar.tick();
    bar
}

impl Watch for Progress {
    fn begin(&self, name: &str, total: usize) {
        self.with(|now| match self.shown {
            Shown::Lines => {
                say(&match total {
                    1 => format!("stage {name} begins (1 item)"),
                    n => format!("stage {name} begins ({n} items)"),
                });
                now.stage = Some((name.to_string(), Instant::now()));
            }
            _ => now.bar = Some(bar(name, total)),
        });
    }

    fn reached(&self, done: usize) {
        self.with(|now| {
            if let Some(bar) = &now.bar {
                bar.set_position(done as u64);
            }
        });
    }

    fn end(&self) {
        self.with(|now| {
            if let Some(bar) = now.bar.take() {
                bar.finish_and_clear();
            }
            if let Some((name, began)) = now.stage.take() {
                let took = began.elapsed().as_secs_f64();
                say(&format!("stage {name} ended after {took:.3} s"));
            }
        });
    }

    fn tell(&self, line: &str) {
        if !self.quiet {
            say(line);
        }
    }

    fn reused(&self, name: &str) {
        if self.shown == Shown::Lines {
            say(&format!("stage {name} reused"));
        }
    }
}
