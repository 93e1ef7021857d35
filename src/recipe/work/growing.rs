//! Dense rows that come one by one, and how far they have come when a run is cut off.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::folder::{Folder, GROWING, ROOM, remove};
use super::forms::{Form, FormKind, RejectFile};
use super::{Kept, Key, Made, Told, check_row, hex, sealed};
use crate::embed::store::{NpyDtype, allocate, npy_header};
use crate::error::{Error, Result};
use crate::files::beside;
use crate::limits::{MAX_DIMS, MAX_ROWS};
use crate::listings::Reject;
use crate::tensor::{Matrix, Rows};

/// Takes the vectors of a stage as they come, and may know those that an earlier run made.
pub trait Collect: Send {
    /// The vector of row `row`, from 0.
    ///
    /// # Errors
    /// Any error ends the stage.
    fn put(&mut self, row: usize, values: &[f32]) -> Result<()>;

    /// How many items were done when an earlier run was cut off; the stage leaves them out.
    fn resumed(&self) -> usize {
        0
    }

    /// What of those could not be used.
    fn earlier(&self) -> &[Reject] {
        &[]
    }

    /// The first `done` items are done by now; `rejects` gives what of them could not be used.
    ///
    /// # Errors
    /// Any error ends the stage.
    fn reached(&mut self, done: usize, rejects: &mut dyn FnMut() -> Vec<Reject>) -> Result<()> {
        let _ = (done, rejects);
        Ok(())
    }
}

impl<F: FnMut(usize, &[f32]) -> Result<()> + Send> Collect for F {
    fn put(&mut self, row: usize, values: &[f32]) -> Result<()> {
        self(row, values)
    }
}

/// How much longer than the last checkpoint took a stage runs on before the next one.
const PAUSE: u32 = 50;
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// When a stage should note how far it has come: rarely enough that it costs two percent at most.
#[derive(Debug)]
pub(super) struct Pace {
    last: Instant,
    pause: Duration,
}

impl Pace {
    pub fn new() -> Self {
        Pace {
            last: Instant::now(),
            pause: SHORTEST_PAUSE,
        }
    }

    pub fn due(&self) -> bool {
        self.last.elapsed() >= self.pause
    }

    /// Runs a checkpoint.
    pub fn pass<T>(&mut self, save: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let saved = save();
        self.last = Instant::now();
        self.pause = SHORTEST_PAUSE.max((self.last - start).saturating_mul(PAUSE));
        saved
    }
}

/// Dense rows that come one by one. Dropped before [`Growing::finish`], no result is kept; what
/// [`Growing::checkpoint`] noted is, for the next run with the same key.
#[derive(Debug)]
pub struct Growing<'a> {
    key: Key,
    shape: [usize; 2],
    rows: Into<'a>,
}

#[derive(Debug)]
enum Into<'a> {
    Memory(Matrix),
    Disk(Box<Disk<'a>>),
}

impl<'a> Growing<'a> {
    pub(super) fn in_memory(key: &Key, rows: Matrix) -> Self {
        Growing {
            key: key.clone(),
            shape: [rows.rows(), rows.dims()],
            rows: Into::Memory(rows),
        }
    }

    pub(super) fn in_folder(
        folder: &'a Folder,
        name: &str,
        key: &Key,
        shape: [usize; 2],
    ) -> Result<Self> {
        let [rows, dims] = shape;
        if rows > MAX_ROWS || dims > MAX_DIMS {
            let message = format!("{rows} rows of {dims} columns are more than a .npy may hold");
            return Err(Error::limit(message).path(folder.path()));
        }
        let disk = match Disk::resume(folder, name, key, shape) {
            Some(disk) => disk,
            None => Disk::create(folder, name, shape)?,
        };
        Ok(Growing {
            key: key.clone(),
            shape,
            rows: Into::Disk(Box::new(disk)),
        })
    }

    /// How many items an earlier run with the same key had done when it was cut off; 0 when there was
    /// none. Their rows are there.
    pub fn resumed(&self) -> usize {
        match &self.rows {
            Into::Memory(_) => 0,
            Into::Disk(disk) => disk.resumed,
        }
    }

    /// What of the items of [`Growing::resumed`] could not be used.
    pub fn earlier(&self) -> &[Reject] {
        match &self.rows {
            Into::Memory(_) => &[],
            Into::Disk(disk) => &disk.earlier,
        }
    }

    /// Row `row`, from 0. Rows that are not put are zeros.
    ///
    /// # Errors
    /// A row that is not there; what the disk says.
    pub fn put(&mut self, row: usize, values: &[f32]) -> Result<()> {
        check_row(self.shape, row, values)?;
        match &mut self.rows {
            Into::Memory(matrix) => {
                matrix.row_mut(row).copy_from_slice(values);
                Ok(())
            }
            Into::Disk(disk) => disk.put(row, values),
        }
    }

    /// Notes on the disk, now and then, that `done` items are done, so that a run that is cut off later
    /// is not all lost. `rejects` is asked for what of them could not be used.
    ///
    /// # Errors
    /// What the disk says.
    pub fn checkpoint(
        &mut self,
        done: usize,
        rejects: &mut dyn FnMut() -> Vec<Reject>,
    ) -> Result<()> {
        match &mut self.rows {
            Into::Disk(disk) if disk.pace.due() => disk.save(&self.key, done, &rejects()),
            _ => Ok(()),
        }
    }

    /// All rows are there.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(self, told: Told) -> Result<Kept> {
        match self.rows {
            Into::Memory(matrix) => {
                let made = Made::Rows(Rows::Dense(matrix));
                Ok(Kept::in_memory(&self.key, made, told))
            }
            Into::Disk(disk) => disk.finish(&self.key, told),
        }
    }
}

impl Collect for Growing<'_> {
    fn put(&mut self, row: usize, values: &[f32]) -> Result<()> {
        Growing::put(self, row, values)
    }

    fn resumed(&self) -> usize {
        Growing::resumed(self)
    }

    fn earlier(&self) -> &[Reject] {
        Growing::earlier(self)
    }

    fn reached(&mut self, done: usize, rejects: &mut dyn FnMut() -> Vec<Reject>) -> Result<()> {
        self.checkpoint(done, rejects)
    }
}

/// How far a stage has come, as its note says.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    doppel: String,
    key: String,
    rows: usize,
    dims: usize,
    /// Items.
    done: usize,
    /// The rows that were put: a bit each, the first one lowest, in hexadecimal.
    put: String,
    /// [`Disk::sum`] of those.
    sum: String,
    rejects: Vec<RejectFile>,
}

/// A `.npy` that grows in its folder.
#[derive(Debug)]
struct Disk<'a> {
    folder: &'a Folder,
    name: String,
    form: Form,
    path: PathBuf,
    file: File,
    header: Vec<u8>,
    /// Where the file's cursor stands.
    at: u64,
    bytes: Vec<u8>,
    /// A bit for each row that was put.
    put: Vec<u8>,
    /// The SHA-256 of each row that was put, its number included, added up bit by bit: whatever the
    /// order in which they came, equal rows have equal sums.
    sum: [u8; 32],
    resumed: usize,
    earlier: Vec<Reject>,
    pace: Pace,
}

impl<'a> Disk<'a> {
    /// The file that `path` opens, with nothing put.
    fn on(
        (folder, name): (&'a Folder, &str),
        [rows, dims]: [usize; 2],
        path: PathBuf,
        file: File,
    ) -> Self {
        Disk {
            folder,
            name: name.to_string(),
            form: Form {
                kind: FormKind::Dense,
                rows,
                dims,
            },
            path,
            file,
            header: npy_header(rows, dims, NpyDtype::F32),
            at: 0,
            bytes: Vec::new(),
            put: vec![0; rows.div_ceil(8)],
            sum: [0; 32],
            resumed: 0,
            earlier: Vec::new(),
            pace: Pace::new(),
        }
    }

    /// Rows of zeros. The room is taken at once where the file system can do that, so that a full disk
    /// shows before the work and not after it.
    fn create(folder: &'a Folder, name: &str, shape: [usize; 2]) -> Result<Self> {
        let path = growing(folder, name);
        remove(&note_of(&path))?;
        remove(&path)?;
        let mut options = File::options();
        let options = options.read(true).write(true).create_new(true);
        let file = options.open(&path).map_err(|e| full(e, &path))?;
        let mut disk = Disk::on((folder, name), shape, path, file);
        let begun = allocate(&disk.file, disk.length())
            .and_then(|()| disk.file.set_len(disk.length()))
            .and_then(|()| disk.write(0, &disk.header.clone()));
        if let Err(e) = begun {
            let _ = std::fs::remove_file(&disk.path);
            return Err(full(e, &disk.path));
        }
        Ok(disk)
    }

    /// The rows as the last note has them, if all of them are there.
    fn resume(folder: &'a Folder, name: &str, key: &Key, shape: [usize; 2]) -> Option<Self> {
        let path = growing(folder, name);
        let note: Note = sealed::read(&note_of(&path))?;
        let same = note.doppel == env!("CARGO_PKG_VERSION") && note.key == key.digest();
        if !same || [note.rows, note.dims] != shape {
            return None;
        }
        // A run may have been cut off when the file had its final name, and no manifest yet.
        let last = folder.file(name, ".npy");
        let is_file = |p: &Path| p.symlink_metadata().is_ok_and(|m| m.is_file());
        let there = [&path, &last].into_iter().find(|p| is_file(p))?;
        let file = File::options().read(true).write(true).open(there).ok()?;
        let mut disk = Disk::on((folder, name), shape, path.clone(), file);
        disk.put = bytes_of(&note.put).filter(|p| p.len() == disk.put.len())?;
        let stale = disk.verify(&note.sum)?;
        if *there == last {
            std::fs::rename(&last, &path).ok()?;
        }
        // Rows that came after the note.
        let zeros = vec![0; disk.row_bytes() as usize];
        for row in stale {
            disk.write(disk.place(row), &zeros).ok()?;
        }
        disk.resumed = note.done;
        disk.earlier = note.rejects.into_iter().map(Reject::from).collect();
        Some(disk)
    }

    /// Whether the header and the rows that were put are as they were, by their sum; the rows that were
    /// not and are no zeros.
    fn verify(&mut self, sum: &str) -> Option<Vec<usize>> {
        if self.file.metadata().ok()?.len() != self.length() {
            return None;
        }
        let mut from = BufReader::with_capacity(1 << 18, &self.file);
        let mut header = vec![0; self.header.len()];
        from.read_exact(&mut header).ok()?;
        let mut bytes = vec![0; self.row_bytes() as usize];
        let mut stale = Vec::new();
        for row in 0..self.form.rows {
            from.read_exact(&mut bytes).ok()?;
            if self.put[row / 8] >> (row % 8) & 1 == 1 {
                add(&mut self.sum, row, &bytes);
            } else if bytes.iter().any(|b| *b != 0) {
                stale.push(row);
            }
        }
        self.at = u64::MAX;
        (header == self.header && hex(&self.sum) == sum).then_some(stale)
    }

    fn row_bytes(&self) -> u64 {
        self.form.dims as u64 * 4
    }

    fn place(&self, row: usize) -> u64 {
        self.header.len() as u64 + row as u64 * self.row_bytes()
    }

    fn length(&self) -> u64 {
        self.place(self.form.rows)
    }

    fn seek(&mut self, place: u64) -> std::io::Result<()> {
        if place != self.at {
            self.at = u64::MAX;
            self.at = self.file.seek(SeekFrom::Start(place))?;
        }
        Ok(())
    }

    fn write(&mut self, place: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.seek(place)?;
        self.at = u64::MAX;
        self.file.write_all(bytes)?;
        self.at = place + bytes.len() as u64;
        Ok(())
    }

    fn put(&mut self, row: usize, values: &[f32]) -> Result<()> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        bytes.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        let place = self.place(row);
        let bit = 1 << (row % 8);
        if self.put[row / 8] & bit != 0 {
            self.take_back(row).map_err(|e| full(e, &self.path))?;
        }
        add(&mut self.sum, row, &bytes);
        self.put[row / 8] |= bit;
        let written = self.write(place, &bytes);
        self.bytes = bytes;
        written.map_err(|e| full(e, &self.path))
    }

    /// Takes a row that is put again out of the sum.
    fn take_back(&mut self, row: usize) -> std::io::Result<()> {
        let mut old = vec![0; self.row_bytes() as usize];
        self.seek(self.place(row))?;
        self.at = u64::MAX;
        self.file.read_exact(&mut old)?;
        add(&mut self.sum, row, &old);
        Ok(())
    }

    /// Brings the rows to the disk, and then the note that they are there.
    fn save(&mut self, key: &Key, done: usize, rejects: &[Reject]) -> Result<()> {
        let note = Note {
            doppel: env!("CARGO_PKG_VERSION").into(),
            key: key.digest(),
            rows: self.form.rows,
            dims: self.form.dims,
            done,
            put: hex(&self.put),
            sum: hex(&self.sum),
            rejects: rejects.iter().map(RejectFile::from).collect(),
        };
        let (file, path) = (&self.file, &self.path);
        self.pace.pass(|| {
            file.sync_data().map_err(|e| full(e, path))?;
            sealed::write(&note_of(path), &note).map(|_| ())
        })
    }

    /// Gives the file its name and its manifest.
    fn finish(mut self, key: &Key, told: Told) -> Result<Kept> {
        // All the work is done: a run that is cut off from here on should find it.
        self.save(key, told.items, &told.rejects)?;
        let manifest = self.form.manifest(&self.path, key.settings.clone())?;
        let last = self.folder.file(&self.name, self.form.ending());
        self.file.sync_all().map_err(|e| full(e, &self.path))?;
        std::fs::rename(&self.path, &last).map_err(|e| full(e, &last))?;
        let described = (self.form, manifest);
        self.folder.describe(&self.name, key, described, told)
    }
}

/// Adds a row to a sum, or takes it out again.
fn add(sum: &mut [u8; 32], row: usize, bytes: &[u8]) {
    let mut hasher = Sha256::new();
    hasher.update((row as u64).to_le_bytes());
    hasher.update(bytes);
    let digest = hasher.finalize();
    sum.iter_mut().zip(digest).for_each(|(s, d)| *s ^= d);
}

fn growing(folder: &Folder, name: &str) -> PathBuf {
    folder.file(name, &format!(".npy{GROWING}"))
}

fn note_of(path: &Path) -> PathBuf {
    beside(path, ".json")
}

/// What `hex` made.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().as_chunks::<2>();
    let digit = |c: u8| char::from(c).to_digit(16);
    let byte = |pair: &[u8; 2]| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8);
    match pairs.1.is_empty() {
        true => pairs.0.iter().map(byte).collect(),
        false => None,
    }
}

/// The error of a file that could not grow.
fn full(error: std::io::Error, path: &Path) -> Error {
    Error::io(error, path).mend(ROOM)
}
