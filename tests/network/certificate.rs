//! Certificates that vouch for themselves, and a system that shows itself with one.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use harness::Setup;
use tempfile::TempDir;

/// A system of the tenant `lab`.
pub(crate) fn lab() -> Setup {
    Setup::default().schemas(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/resume")))
}

/// A certificate for `localhost` and its key, both PEM.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }
}

/// A folder with a pair in it, which is replaced as Kubernetes does: the files are links through a link that
/// is turned.
#[derive(Debug)]
pub(crate) struct Mount {
    folder: TempDir,
    versions: u32,
}

impl Mount {
    pub(crate) fn new(pair: &Pair) -> Self {
        let mut mount = Self { folder: tempfile::tempdir().unwrap(), versions: 0 };
        mount.replace(pair);
        for name in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(name), mount.path(name)).unwrap();
        }
        mount
    }

    /// Both files at once.
    pub(crate) fn replace(&mut self, pair: &Pair) {
        self.versions += 1;
        let version = self.path(&format!("..{}", self.versions));
        fs::create_dir(&version).unwrap();
        fs::write(version.join("tls.crt"), &pair.certificate).unwrap();
        fs::write(version.join("tls.key"), &pair.key).unwrap();
        let link = self.path("..data_tmp");
        symlink(version.file_name().unwrap(), &link).unwrap();
        fs::rename(link, self.path("..data")).unwrap();
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The settings that name what is here.
    pub(crate) fn variables(&self) -> [(&'static str, String); 2] {
        let path = |name| self.path(name).to_str().unwrap().to_owned();
        [("TIDINGS_GATEWAY__TLS_CERTIFICATE", path("tls.crt")), ("TIDINGS_GATEWAY__TLS_KEY", path("tls.key"))]
    }

    /// A system of the tenant `lab` that shows itself with what is here.
    pub(crate) fn setup(&self) -> Setup {
        self.variables().iter().fold(lab(), |setup, (name, value)| setup.variable(name, value))
    }
}
