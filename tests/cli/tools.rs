//! What the tests of the command line share.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub use serde_json::Value;

/// A folder that goes away, with the engine run inside it.
pub struct Bench {
    dir: tempfile::TempDir,
}

/// How a run ended.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Bench {
    pub fn new() -> Self {
        Bench {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The names in the folder, sorted: nothing half-written may stay behind.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.folder())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Runs `engine` with `line` split at spaces.
    pub fn engine(&self, line: &str) -> Ran {
        self.command(line.split_whitespace())
    }

    pub fn command<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_engine"));
        command.args(words).current_dir(self.folder());
        Ran::of(command.output().unwrap())
    }

    /// The names that stand in a column of a CSV without quoted fields.
    pub fn column(&self, name: &str, column: usize) -> Vec<String> {
        let text = self.read(name);
        let line = |l: &str| l.split(',').nth(column).unwrap_or("").to_string();
        text.lines().skip(1).map(line).collect()
    }
}

impl Ran {
    pub fn of(output: Output) -> Self {
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Asserts the exit code, showing what was printed when it is another.
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout: {}\nstderr: {}",
            self.out, self.err
        );
        self
    }

    /// Asserts a failure with one line on stderr that has all the `words`.
    pub fn fails_with(self, words: &[&str]) -> Self {
        let ran = self.ends(2);
        let line = ran.err.trim_end();
        assert!(!line.contains('\n'), "more than one line: {line}");
        assert!(line.starts_with("error: "), "{line}");
        for word in words {
            assert!(line.contains(word), "`{word}` is missing in: {line}");
        }
        assert!(ran.out.is_empty(), "{}", ran.out);
        ran
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }
}

/// Six listings of three products.
pub const SMALL: &str = "\
posting_id,image,image_phash,title,label_group
a,a.jpg,ffff0000ffff0000,Kopi Bubuk Luwak Arabika 200 gr,1
b,b.jpg,ffff0000ffff0000,Sepatu Olahraga Pria,1
c,c.jpg,0123456789abcdef,Minyak Goreng Sawit Botol 2 liter,2
d,d.jpg,fedcba9876543210,minyak goreng sawit 2 liter,2
e,e.jpg,00ff00ff00ff00ff,Boneka Beruang Besar,3
f,,,,3
";
