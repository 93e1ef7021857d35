//! Listings with images, a recipe with a stage of every kind, and the engine run over them.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::OnceLock;

use doppel::nn::{self, Build, formula};
use serde_json::json;

pub const LISTINGS: usize = 60;
pub const IMAGES: usize = 30;

pub const RECIPE: &str = r#"
name = "resume"
fusion = """
equal(phash) or both < .03 or
sweep(photo < .14 to .17 by .01, words < .05 to .15 by .05, title < .001 to .003 by .0005)
"""

[spaces.phash]
phash = true

[spaces.words]
tfidf = { stop_words = "english", max_features = 25000 }

[spaces.photo]
image = "timm:resnet18"
weights = "resnet18.safetensors"
size = 32
refine = [{ expand = { k = 2, alpha = 3 } }]

[spaces.title]
text = "hf:"
weights = "bert"
refine = [{ blend = { distance = 0.0002, min2 = 0.0005 } }]

[spaces.both]
concat = { photo = 0.7, title = 1.0 }
"#;

/// A folder that goes away, with listings, images, weights and a recipe.
pub struct Bench {
    dir: tempfile::TempDir,
}

/// A run that goes on, and what it has said so far.
pub struct Running {
    child: Child,
    err: BufReader<ChildStderr>,
    pub said: Said,
}

/// A run that is over.
pub struct Ran {
    pub code: Option<i32>,
    pub said: Said,
}

/// What a run has said.
#[derive(Debug, Default)]
pub struct Said {
    pub events: Vec<Event>,
    /// What is not about a stage.
    pub other: Vec<String>,
    /// How often each name has come: a second `search photo` is called `search photo 2`.
    times: HashMap<String, usize>,
}

/// What a line of `--progress lines` tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Begins(String),
    Ended(String, f64),
    Reused(String),
}

/// Seeded weights of ResNet-18 as float32 safetensors, made once a run of the tests.
fn weights() -> &'static [u8] {
    static MADE: OnceLock<Vec<u8>> = OnceLock::new();
    MADE.get_or_init(|| {
        let graph = nn::graph(nn::arch("resnet18").unwrap(), &Build::new(1, 32)).unwrap();
        let weights = formula::weights(&graph, &formula::Stats::default());
        let mut names: Vec<&String> = weights.keys().collect();
        names.sort();
        let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
        for name in names {
            let (dims, values) = &weights[name];
            let begin = data.len();
            data.extend(values.iter().flat_map(|x| x.to_le_bytes()));
            let entry = json!({"dtype": "F32", "shape": dims, "data_offsets": [begin, data.len()]});
            header.insert(name.clone(), entry);
        }
        let mut header = serde_json::Value::Object(header).to_string();
        while !header.len().is_multiple_of(8) {
            header.push(' ');
        }
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    })
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The titles: of each pair the second says the same in other words.
pub fn title(row: usize) -> String {
    const THINGS: [&str; 12] = [
        "kopi luwak",
        "susu bubuk",
        "minyak goreng",
        "sepatu pria",
        "boneka besar",
        "tas kulit",
        "golden apple",
        "gula pasir",
        "teh hijau",
        "sabun cair",
        "lampu meja",
        "botol minum",
    ];
    let thing = THINGS[row / 2 % 12];
    match row % 2 {
        0 => format!("{thing} {} gr ORIGINAL", row / 2 * 50 + 50),
        _ => format!("PROMO {thing} isi {} gr", row / 2 * 50 + 50),
    }
}

impl Bench {
    pub fn new() -> Self {
        let bench = Bench {
            dir: tempfile::tempdir().unwrap(),
        };
        let demo = std::fs::read_dir(project().join("demo/images")).unwrap();
        let mut photographs: Vec<PathBuf> = demo.map(|e| e.unwrap().path()).collect();
        photographs.sort();
        for (i, photograph) in photographs.iter().take(IMAGES).enumerate() {
            bench.write(
                &format!("photos/{i}.jpg"),
                std::fs::read(photograph).unwrap(),
            );
        }
        let half = std::fs::read(&photographs[0]).unwrap();
        bench.write("photos/cut.jpg", &half[..half.len() / 3]);
        bench.write("resnet18.safetensors", weights());
        let tiny = project().join("tests/golden/text/tiny/bert");
        for folder in ["", "1_Pooling"] {
            for entry in std::fs::read_dir(tiny.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    let to = Path::new("bert")
                        .join(folder)
                        .join(path.file_name().unwrap());
                    bench.write(to.to_str().unwrap(), std::fs::read(&path).unwrap());
                }
            }
        }
        bench.write("recipe.toml", RECIPE);
        bench.write_listings(&|row| title(row));
        bench
    }

    /// Writes the listings with these titles. One image is missing, one is cut short, and one listing
    /// has a hash of its own.
    pub fn write_listings(&self, title: &dyn Fn(usize) -> String) {
        let mut text = String::from("posting_id,image,image_phash,title\n");
        for row in 0..LISTINGS {
            let image = match row {
                11 => "gone.jpg".to_string(),
                23 => "cut.jpg".to_string(),
                _ => format!("{}.jpg", row / 2 % IMAGES),
            };
            let hash = if row == 7 { "ffff0000ffff0000" } else { "" };
            text.push_str(&format!("p{row},{image},{hash},{}\n", title(row)));
        }
        self.write("l.csv", text);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }

    /// The words that run the recipe with results in `work` and outputs in `out`, a folder.
    pub fn words(&self, work: &str, out: &str) -> Vec<String> {
        std::fs::create_dir_all(self.path(out)).unwrap();
        let line = format!(
            "match l.csv --images photos --recipe recipe.toml --work {work} --out {out}/m.csv \
             --pairs {out}/p.csv --threads 2 --progress lines"
        );
        line.split_whitespace().map(str::to_string).collect()
    }

    /// A run of the recipe.
    pub fn command(&self, work: &str, out: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_engine"));
        command.args(self.words(work, out)).current_dir(&self.dir);
        command
    }

    pub fn run(&self, work: &str, out: &str) -> Ran {
        Running::of(self.command(work, out)).finish()
    }

    /// The files of a folder, by name; those of `out` are all that a run gives.
    pub fn files(&self, folder: &str) -> HashMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(self.path(folder));
        let entries = entries.unwrap_or_else(|e| panic!("{folder}: {e}"));
        let read = |e: std::io::Result<std::fs::DirEntry>| {
            let path = e.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_string();
            (name, std::fs::read(path).unwrap())
        };
        entries.map(read).collect()
    }

    /// Asserts that the outputs in `out` are those of the undisturbed run. Where a run was killed when a
    /// file was to get its name, the passing one may stay.
    pub fn same_outputs(&self, out: &str, what: &str) {
        let mut found = self.files(out);
        found.retain(|name, _| !name.starts_with(".doppel-"));
        let expected = self.files("expected");
        let names = |files: &HashMap<String, Vec<u8>>| {
            let mut names: Vec<String> = files.keys().cloned().collect();
            names.sort();
            names
        };
        assert_eq!(names(&found), names(&expected), "{what}");
        for (name, bytes) in found {
            assert!(bytes == expected[&name], "{name} differs: {what}");
        }
    }

    /// Asserts that the outputs that stand in `out` are whole.
    pub fn no_half_outputs(&self, out: &str) {
        let expected = self.files("expected");
        for (name, bytes) in self.files(out) {
            let passing = name.starts_with(".doppel-");
            assert!(
                passing || expected[&name] == bytes,
                "{name} is half-written"
            );
        }
    }

    /// Makes `to` a folder with those files of `from` that `wanted` says.
    pub fn copy(&self, from: &str, to: &str, wanted: &dyn Fn(&str) -> bool) {
        let to = self.path(to);
        let _ = std::fs::remove_dir_all(&to);
        std::fs::create_dir(&to).unwrap();
        for (name, bytes) in self.files(from) {
            if wanted(&name) {
                std::fs::write(to.join(name), bytes).unwrap();
            }
        }
    }
}

impl Running {
    pub fn of(mut command: Command) -> Self {
        let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let err = BufReader::new(child.stderr.take().unwrap());
        Running {
            child,
            err,
            said: Said::default(),
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads on until `wanted`; false when the run was over before.
    pub fn reaches(&mut self, wanted: impl Fn(&Event) -> bool) -> bool {
        let mut line = String::new();
        while self.err.read_line(&mut line).unwrap() > 0 {
            if self.said.hear(line.trim_end()).is_some_and(&wanted) {
                return true;
            }
            line.clear();
        }
        false
    }

    /// `kill -9`, wherever it is.
    pub fn kill(mut self) -> Ran {
        self.child.kill().unwrap();
        self.finish()
    }

    pub fn finish(mut self) -> Ran {
        self.reaches(|_| false);
        Ran {
            code: self.child.wait().unwrap().code(),
            said: self.said,
        }
    }
}

impl Said {
    fn hear(&mut self, line: &str) -> Option<&Event> {
        let Some(event) = event(line) else {
            self.other.push(line.to_string());
            return None;
        };
        let (Event::Begins(name) | Event::Reused(name) | Event::Ended(name, _)) = &event;
        let times = self.times.entry(name.clone()).or_default();
        *times += usize::from(!matches!(event, Event::Ended(..)));
        let name = match *times {
            1 => name.clone(),
            n => format!("{name} {n}"),
        };
        self.events.push(match event {
            Event::Begins(_) => Event::Begins(name),
            Event::Reused(_) => Event::Reused(name),
            Event::Ended(_, took) => Event::Ended(name, took),
        });
        self.events.last()
    }

    /// The stages that were run and those that were not, in order.
    pub fn stages(&self) -> (Vec<String>, Vec<String>) {
        let (mut made, mut reused) = (Vec::new(), Vec::new());
        for event in &self.events {
            match event {
                Event::Begins(name) => made.push(name.clone()),
                Event::Reused(name) => reused.push(name.clone()),
                Event::Ended(..) => {}
            }
        }
        (made, reused)
    }
}

impl Ran {
    /// Asserts the exit code, showing what was said when it is another.
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{:#?}", self.said);
        self
    }

    /// As [`Said::stages`].
    pub fn stages(&self) -> (Vec<String>, Vec<String>) {
        self.said.stages()
    }

    /// The one line of a run that failed, which has all the `words`.
    pub fn fails_with(self, words: &[&str]) -> Self {
        let ran = self.ends(2);
        let rest = &ran.said.other;
        assert!(
            rest.len() == 1 && rest[0].starts_with("error: "),
            "{rest:?}"
        );
        for word in words {
            assert!(
                rest[0].contains(word),
                "`{word}` is missing in: {}",
                rest[0]
            );
        }
        ran
    }
}

/// What a line of `--progress lines` tells.
fn event(line: &str) -> Option<Event> {
    let rest = line.strip_prefix("stage ")?;
    if let Some(name) = rest.strip_suffix(" reused") {
        return Some(Event::Reused(name.into()));
    }
    if let Some((name, _)) = rest.split_once(" begins (") {
        return Some(Event::Begins(name.into()));
    }
    let (name, took) = rest.strip_suffix(" s")?.split_once(" ended after ")?;
    Some(Event::Ended(name.into(), took.parse().ok()?))
}
