//! A backup on disk: a folder with a file for each stream, `backup.json`, and `SHA256SUMS`.
//!
//! It is written as `FOLDER.partial`, each file down to the disk, `SHA256SUMS` last, and then renamed: a folder of the given name
//! is whole, or was damaged later. `sha256sum --check SHA256SUMS` finds that out without Tidings.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::manifest::{Manifest, decode};
use crate::failure::Failure;
use tidings_streams::backup::SavedMessage;

const SUMS: &str = "SHA256SUMS";
const MANIFEST: &str = "backup.json";
/// Locked while the folder is written.
const LOCK: &str = "lock";
/// How much is read at a time.
const CHUNK: usize = 128 * 1024;
/// How many messages of a tail are read at a time.
const LINES: usize = 256;
/// The longest file that is read as a whole.
const LONGEST: u64 = 16 * 1024 * 1024;

/// The file of a stream's snapshot.
pub(super) fn snapshot(stream: &str) -> String {
    format!("{stream}.snapshot")
}

/// The file of what a stream stored behind its snapshot.
pub(super) fn tail(stream: &str) -> String {
    format!("{stream}.tail")
}

fn is_ours(name: &str) -> bool {
    let kind = name.rsplit_once('.').map(|(_, kind)| kind);
    let is_of_stream = matches!(kind, Some("snapshot" | "tail")) && !name.contains('/');
    is_of_stream || [SUMS, MANIFEST, LOCK].contains(&name)
}

/// A folder that is being written.
pub(super) struct NewFolder {
    target: PathBuf,
    partial: PathBuf,
    /// The sum of each file.
    sums: BTreeMap<String, String>,
    _lock: File,
}

impl NewFolder {
    pub(super) fn create(target: &Path) -> Result<Self, Failure> {
        if target.symlink_metadata().is_ok() {
            let target = target.display();
            return Err(format!(
                "{target} exists already; name a folder that does not, such as one with the date"
            )
            .into());
        }
        let mut name = target.file_name().map_or_else(OsString::new, OsString::from);
        name.push(".partial");
        let partial = target.with_file_name(name);
        fs::create_dir_all(&partial).map_err(|error| cannot("create folder", &partial, &error))?;
        let lock = partial.join(LOCK);
        let lock = File::create(&lock).map_err(|error| cannot("create", &lock, &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!("another backup is being written to {}", partial.display()).into());
            }
            Err(TryLockError::Error(error)) => return Err(cannot("lock", &partial, &error)),
        }
        remove_rest(&partial)?;
        Ok(Self { target: target.to_owned(), partial, sums: BTreeMap::new(), _lock: lock })
    }

    /// Creates a file, or begins it again.
    pub(super) fn file(&mut self, name: &str) -> Result<NewFile, Failure> {
        self.sums.remove(name);
        let path = self.partial.join(name);
        let file = File::create(&path).map_err(|error| cannot("create", &path, &error))?;
        Ok(NewFile { name: name.to_owned(), path, file, sum: Sha256::new() })
    }

    /// The file is complete.
    pub(super) fn keep(&mut self, file: NewFile) -> Result<(), Failure> {
        file.file.sync_all().map_err(|error| cannot("write", &file.path, &error))?;
        self.sums.insert(file.name, hex(&file.sum.finalize()));
        Ok(())
    }

    /// All files are complete.
    pub(super) fn complete(mut self, manifest: &Manifest) -> Result<(), Failure> {
        let mut file = self.file(MANIFEST)?;
        file.write(manifest.to_json()?.as_bytes())?;
        self.keep(file)?;
        let mut sums = self.file(SUMS)?;
        for (name, sum) in &self.sums {
            sums.write(format!("{sum}  {name}\n").as_bytes())?;
        }
        self.keep(sums)?;
        let (target, partial) = (&self.target, &self.partial);
        fs::remove_file(partial.join(LOCK)).map_err(|error| cannot("remove the lock of", partial, &error))?;
        sync_folder(partial)?;
        // An empty folder that was created meanwhile would be replaced, and one with anything in it is not.
        fs::rename(partial, target)
            .map_err(|error| cannot("rename the complete backup to", target, &error))?;
        sync_folder(target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
    }
}

/// Removes what an interrupted backup has left, and nothing else.
fn remove_rest(partial: &Path) -> Result<(), Failure> {
    let entries = fs::read_dir(partial).map_err(|error| cannot("read folder", partial, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| cannot("read folder", partial, &error))?;
        let name = entry.file_name();
        if !name.to_str().is_some_and(is_ours) {
            let (partial, name) = (partial.display(), name.display());
            return Err(format!(
                "{partial} has {name}, which is no part of a backup; remove it, or name another folder"
            )
            .into());
        }
        if name != LOCK {
            fs::remove_file(entry.path()).map_err(|error| cannot("remove", &entry.path(), &error))?;
        }
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> Result<(), Failure> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| cannot("write folder", folder, &error))
}

/// A file that is being written.
pub(super) struct NewFile {
    name: String,
    path: PathBuf,
    file: File,
    sum: Sha256,
}

impl NewFile {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.sum.update(bytes);
        self.file.write_all(bytes).map_err(|error| cannot("write", &self.path, &error))
    }
}

/// A folder with a backup.
pub(super) struct Folder {
    path: PathBuf,
    sums: BTreeMap<String, String>,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let sums = read_small(&path.join(SUMS))?;
        let sums = String::from_utf8(sums).map_err(|_| damaged(path, SUMS, "it is not text"))?;
        let line = |line: &str| {
            let (sum, name) = line.split_once("  ")?;
            is_ours(name).then(|| (name.to_owned(), sum.to_owned()))
        };
        let sums: Option<BTreeMap<_, _>> = sums.lines().map(line).collect();
        let sums = sums.ok_or_else(|| damaged(path, SUMS, "its lines are not those of a backup"))?;
        Ok(Self { path: path.to_owned(), sums })
    }

    /// Reads everything, and fails if anything is not as it was written.
    pub(super) fn verify(&self) -> Result<Manifest, Failure> {
        for (name, sum) in &self.sums {
            if self.sum(name)? != *sum {
                return Err(damaged(&self.path, name, "its content is not what was written"));
            }
        }
        if !self.sums.contains_key(MANIFEST) {
            return Err(damaged(&self.path, SUMS, "it does not name backup.json"));
        }
        let manifest = read_small(&self.path.join(MANIFEST))?;
        let manifest =
            Manifest::parse(&manifest).map_err(|error| damaged(&self.path, MANIFEST, &error.to_string()))?;
        for stream in manifest.streams() {
            let name = snapshot(stream.name());
            if !self.sums.contains_key(&name) {
                return Err(damaged(&self.path, SUMS, &format!("it does not name {name}")));
            }
        }
        Ok(manifest)
    }

    fn sum(&self, name: &str) -> Result<String, Failure> {
        let (mut parts, mut sum) = (self.parts(name)?, Sha256::new());
        while let Some(part) = parts.next()? {
            sum.update(part);
        }
        Ok(hex(&sum.finalize()))
    }

    /// Reads a file in parts.
    pub(super) fn parts(&self, name: &str) -> Result<Parts, Failure> {
        let path = self.path.join(name);
        let file = File::open(&path).map_err(|error| cannot("read", &path, &error))?;
        Ok(Parts { path, file, buffer: vec![0; CHUNK] })
    }

    /// Reads the messages of a tail, some at a time; `None` if the stream has none.
    pub(super) fn messages(&self, name: &str) -> Result<Option<Messages>, Failure> {
        if !self.sums.contains_key(name) {
            return Ok(None);
        }
        let path = self.path.join(name);
        let file = File::open(&path).map_err(|error| cannot("read", &path, &error))?;
        Ok(Some(Messages { path, lines: BufReader::new(file).lines() }))
    }
}

/// A file that is read in parts.
pub(super) struct Parts {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
}

impl Parts {
    /// The next part; `None` behind the last.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        let read = self.file.read(&mut self.buffer).map_err(|error| cannot("read", &self.path, &error))?;
        Ok(self.buffer.get(..read).filter(|part| !part.is_empty()))
    }
}

/// The messages of a tail.
pub(super) struct Messages {
    path: PathBuf,
    lines: io::Lines<BufReader<File>>,
}

impl Messages {
    /// The next messages; none behind the last.
    pub(super) fn next(&mut self) -> Result<Vec<SavedMessage>, Failure> {
        let mut messages = Vec::new();
        for line in self.lines.by_ref().take(LINES) {
            let line = line.map_err(|error| cannot("read", &self.path, &error))?;
            messages.push(decode(&line).map_err(|error| damaged(&self.path, "a line", &error.to_string()))?);
        }
        Ok(messages)
    }
}

fn read_small(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let path = path.display();
            Err(format!("there is no {path}: this is no backup, or one that was not completed").into())
        }
        Err(error) => Err(cannot("read", path, &error)),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    format!("cannot {what} {}: {error}", path.display()).into()
}

fn damaged(folder: &Path, name: &str, why: &str) -> Failure {
    format!("the backup {} is damaged: {name}: {why}", folder.display()).into()
}
