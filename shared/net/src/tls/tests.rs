use rcgen::{CertifiedKey as Made, generate_simple_self_signed};

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn files(&self) -> Files {
        Files { certificate: self.0.path().join("tls.crt"), key: self.0.path().join("tls.key") }
    }

    async fn identity(&self) -> Result<Identity, CertificateError> {
        let Files { certificate, key } = self.files();
        Identity::load(certificate, key).await
    }

    fn write(&self, certificate: &str, key: &str) {
        std::fs::write(self.files().certificate, certificate).unwrap();
        std::fs::write(self.files().key, key).unwrap();
    }

    /// What is wrong with the files, with its cause and without the folder's name.
    async fn wrong(&self) -> String {
        let Err(error) = self.identity().await else { return "nothing".to_owned() };
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        let told = format!("{error}{}", cause.unwrap_or_default());
        told.replace(&format!("{}/", self.0.path().display()), "")
    }
}

/// Certificate and key, both PEM.
fn pair() -> (String, String) {
    let Made { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (cert.pem(), signing_key.serialize_pem())
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_file() {
    let folder = Folder::new();
    let ((certificate, key), (_, other_key)) = (pair(), pair());
    assert_eq!(folder.wrong().await, "tls.crt cannot be read: No such file or directory (os error 2)");
    folder.write(&certificate, &key);
    assert_eq!(folder.wrong().await, "nothing");
    folder.write(&certificate, &other_key);
    assert_eq!(folder.wrong().await, "the private key in tls.key is not that of the certificate in tls.crt");
    folder.write(&key, &key);
    assert_eq!(
        folder.wrong().await,
        "tls.crt has no certificate; expected the service's own in PEM, and then those that vouch for it"
    );
    folder.write(&certificate, &certificate);
    assert_eq!(
        folder.wrong().await,
        "tls.key has no private key; expected one in PEM that is not encrypted (PKCS #8, PKCS #1 or SEC 1)"
    );
    folder.write(&certificate[..certificate.len() / 2], &key);
    assert!(folder.wrong().await.starts_with("tls.crt is not PEM (RFC 7468): "));
    let nonsense = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    folder.write(&nonsense("CERTIFICATE"), &key);
    assert!(folder.wrong().await.starts_with("the certificate in tls.crt cannot be used: "));
    folder.write(&certificate, &nonsense("PRIVATE KEY"));
    assert!(folder.wrong().await.starts_with("the private key in tls.key cannot be used; expected RSA, "));
}

#[tokio::test]
async fn a_pair_is_taken_when_it_is_new_and_whole() {
    let folder = Folder::new();
    let (old, new) = (pair(), pair());
    folder.write(&old.0, &old.1);
    let mut identity = folder.identity().await.unwrap();
    let current = identity.current.subscribe();
    let first = Arc::clone(&current.borrow());
    assert!(!identity.look().await.unwrap());

    // Half of the renewal, and nothing at all: each is told once.
    folder.write(&new.0, &old.1);
    assert!(matches!(identity.look().await, Err(CertificateError::Mismatch { .. })));
    assert!(!identity.look().await.unwrap());
    std::fs::remove_file(folder.files().key).unwrap();
    assert!(matches!(identity.look().await, Err(CertificateError::Unreadable { .. })));
    assert!(!identity.look().await.unwrap());
    assert!(Arc::ptr_eq(&first, &current.borrow()));

    folder.write(&new.0, &new.1);
    assert!(identity.look().await.unwrap());
    assert_ne!(first.cert, current.borrow().cert);
    assert!(!identity.look().await.unwrap());
}
