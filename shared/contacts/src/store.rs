//! Reads and changes what is kept of users.

use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};
use tidings_model::{Tenant, json};
use tidings_streams::TopologyError;
use tidings_streams::contacts::{SealedContacts, SealedContactsError};
use tidings_streams::users::UserName;

use crate::book::{Book, ContactId};
use crate::keyring::{Keyring, OpenError};

/// How many times a change is retried after a conflict; at each conflict, another change succeeds.
const ATTEMPTS: u32 = 16;
/// The version of the form in which a book is sealed.
const VERSION: u64 = 1;

/// Where users are reached. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Contacts {
    store: SealedContacts,
    keyring: Option<Arc<Keyring>>,
}

/// A book as it is sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u64,
    contacts: Book,
}

#[derive(Deserialize)]
struct Version {
    version: u64,
}

impl Contacts {
    /// Uses these keys. Without them, contacts can be removed, and neither read nor changed.
    #[must_use]
    pub fn new(store: SealedContacts, keyring: Option<Keyring>) -> Self {
        Self { store, keyring: keyring.map(Arc::new) }
    }

    /// Whether there are keys.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.keyring.is_some()
    }

    /// Recreates the bucket if it has disappeared.
    pub async fn check(&self) -> Result<(), TopologyError> {
        self.store.check().await
    }

    /// What is kept of a user; nothing, if it is empty.
    pub async fn load(&self, name: &UserName) -> Result<Book, ContactsError> {
        Ok(self.read(name).await?.book)
    }

    /// Changes what is kept of a user, merged with the changes of others. The change is made several times if they come first.
    /// Returns what is kept now.
    pub async fn change(&self, name: &UserName, change: impl Fn(&mut Book)) -> Result<Book, ContactsError> {
        for _ in 0..ATTEMPTS {
            let Read { mut book, sequence, .. } = self.read(name).await?;
            let before = book.clone();
            change(&mut book);
            if book == before || self.write(name, &book, sequence).await? {
                return Ok(book);
            }
        }
        Err(ContactsError::Contended { name: name.clone() })
    }

    /// Removes everything that is kept of a user, and returns whether there was something. It needs no key.
    pub async fn forget(&self, name: &UserName) -> Result<bool, ContactsError> {
        Ok(self.store.purge(name).await? > 0)
    }

    /// Seals the contacts of a tenant's users with the first key where they are sealed with another one. Returns how many were. An
    /// interrupted run is completed by the next one.
    pub async fn reseal(&self, tenant: &Tenant) -> Result<u64, ContactsError> {
        let mut count = 0;
        for name in self.store.users(tenant).await? {
            let mut attempts = 0;
            loop {
                let Read { book, sequence, is_current } = self.read(&name).await?;
                if is_current || sequence == 0 {
                    break;
                }
                if self.write(&name, &book, sequence).await? {
                    count += 1;
                    break;
                }
                attempts += 1;
                if attempts == ATTEMPTS {
                    return Err(ContactsError::Contended { name });
                }
            }
        }
        Ok(count)
    }

    async fn read(&self, name: &UserName) -> Result<Read, ContactsError> {
        let keyring = self.keyring()?;
        let (sealed, sequence) = self.store.read(name).await?;
        let Some(sealed) = sealed else {
            return Ok(Read { book: Book::default(), sequence, is_current: true });
        };
        let opened = keyring.open(name, &sealed);
        let text = opened.map_err(|source| ContactsError::Sealed { name: name.clone(), source })?;
        let unknown = |found| ContactsError::Form { name: name.clone(), found };
        let Version { version } = json::read(&text).map_err(|_| unknown(0))?;
        if version != VERSION {
            return Err(unknown(version));
        }
        let Written { contacts, .. } = json::read(&text).map_err(|_| unknown(version))?;
        Ok(Read { book: contacts, sequence, is_current: keyring.is_current(&sealed) })
    }

    async fn write(&self, name: &UserName, book: &Book, expected: u64) -> Result<bool, ContactsError> {
        let text = serde_json::to_vec(&Written { version: VERSION, contacts: book.clone() });
        let sealed = text.ok().and_then(|text| self.keyring().ok()?.seal(name, &text));
        let sealed = sealed.ok_or_else(|| ContactsError::Unsealed { name: name.clone() })?;
        Ok(self.store.write(name, &sealed, expected).await?)
    }

    fn keyring(&self) -> Result<&Keyring, ContactsError> {
        self.keyring.as_deref().ok_or(ContactsError::Off)
    }
}

/// What was read of a user.
struct Read {
    book: Book,
    sequence: u64,
    is_current: bool,
}

/// A new id, random: it says nothing about what it names.
#[must_use]
pub fn new_id() -> ContactId {
    let mut bytes = [0; 6];
    // Without random numbers nothing can be sealed either.
    let _ = rand::fill(&mut bytes);
    ContactId(bytes.iter().fold(String::new(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    }))
}

/// Why a user's contacts cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ContactsError {
    /// No key is configured.
    #[error("contacts are not kept here: no key is configured; set `contacts.keys_file`")]
    Off,
    /// They cannot be read or written now.
    #[error(transparent)]
    Store(#[from] SealedContactsError),
    /// They cannot be opened.
    #[error("the contacts of user {name} cannot be read")]
    Sealed {
        /// The user.
        name: UserName,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// They were written by a newer Tidings.
    #[error("the contacts of user {name} have the form {found}, expected {VERSION}; update Tidings")]
    Form {
        /// The user.
        name: UserName,
        /// The version of the form.
        found: u64,
    },
    /// They cannot be sealed.
    #[error("the contacts of user {name} cannot be encrypted; the system has no random numbers")]
    Unsealed {
        /// The user.
        name: UserName,
    },
    /// Others kept changing them.
    #[error("the contacts of user {name} were changed by others {ATTEMPTS} times in a row; try again")]
    Contended {
        /// The user.
        name: UserName,
    },
}

impl ContactsError {
    /// Whether the record itself is the reason: it stays so until an operator does something.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(
            self,
            Self::Sealed { .. } | Self::Form { .. } | Self::Store(SealedContactsError::Damaged { .. })
        )
    }
}
