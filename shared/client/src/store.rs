//! Where a client keeps its position over restarts.

use std::io;
use std::path::PathBuf;

/// Keeps the position of what the application has handled.
pub trait Store: Send {
    /// The position that was kept last.
    fn load(&mut self) -> io::Result<Option<String>>;
    /// Keeps a position. When this returns, the next start finds it.
    fn save(&mut self, position: &str) -> io::Result<()>;
}

/// Lasts as long as the process. The next one begins where the gateway has the device.
#[derive(Debug, Default)]
pub struct MemoryStore(Option<String>);

impl Store for MemoryStore {
    fn load(&mut self) -> io::Result<Option<String>> {
        Ok(self.0.clone())
    }

    fn save(&mut self, position: &str) -> io::Result<()> {
        self.0 = Some(position.to_owned());
        Ok(())
    }
}

/// A file, replaced as a whole, so that a killed process leaves the old position or the new one. A power failure may leave
/// an older one; then messages come again.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
}

impl FileStore {
    /// In this file, which need not exist, of a folder that does.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl Store for FileStore {
    fn load(&mut self) -> io::Result<Option<String>> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(Some(text.trim_end().to_owned()).filter(|text| !text.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn save(&mut self, position: &str) -> io::Result<()> {
        let mut next = self.path.clone().into_os_string();
        next.push(".next");
        std::fs::write(&next, position)?;
        std::fs::rename(&next, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_the_last_position() {
        let folder = tempfile::tempdir().unwrap();
        let store = || FileStore::new(folder.path().join("position"));
        assert_eq!(store().load().unwrap(), None);
        store().save("18f-1").unwrap();
        store().save("18f-2").unwrap();
        assert_eq!(store().load().unwrap().as_deref(), Some("18f-2"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(FileStore::new(folder.path().join("none/position")).save("18f-1").is_err());
    }
}
