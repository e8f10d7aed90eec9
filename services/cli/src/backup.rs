//! `tidings backup`: saves what Tidings has in NATS into a folder while everything runs. What is saved in which order, and why,
//! says `tidings_streams::backup`.

mod folder;
mod manifest;
mod project;
mod restore;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use tidings_model::{Place, Tenant};
use tidings_runtime::config::{Config, ConsumerStoreKind, SecretRule};
use tidings_streams::backup::{Backups, Behind, Part, SavedMessage, SavedStream};
use tidings_streams::connect;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use self::folder::{Folder, NewFile, NewFolder};
use self::manifest::{Manifest, encode};
use crate::arguments::BackupOptions;
use crate::failure::Failure;
use crate::output::{announce, counted};
use crate::{serve, stores};

pub(crate) use self::restore::run as restore;

/// How many times the envelopes are saved again because a tenant's place has changed meanwhile.
const ATTEMPTS: u32 = 5;

/// Runs `tidings backup`.
pub(crate) async fn run(file: Option<&Path>, options: &BackupOptions) -> Result<ExitCode, Failure> {
    if options.check {
        let manifest = Folder::open(&options.folder)?.verify()?;
        let streams = counted(manifest.streams().len() as u64, "stream");
        announce(&format!("the backup is whole: {streams}, as of {}", manifest.begun()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let config = serve::configuration(file, SecretRule::Optional)?;
    let client = connect(&serve::connection(&config, "tidings-backup")).await?;
    let backups = Backups::new(&client, &stores::stream_settings(&config))?;
    let parts = backups.parts().await?;
    if !parts.iter().any(Part::has_events) {
        return Err("this NATS has no stream EVENTS: there is nothing to save".into());
    }
    let folder = NewFolder::create(&options.folder)?;
    let mut backup = Backup { backups, config, folder, streams: BTreeMap::new() };
    let begun = now()?;
    let acknowledged = backup.acknowledged(&parts).await?;
    backup.save_all(&parts).await?;
    backup.save_purges(&parts).await?;
    let Backup { folder, streams, .. } = backup;
    let count = counted(streams.len() as u64, "stream");
    let messages = counted(streams.values().map(SavedStream::messages).sum(), "message");
    let id = Uuid::now_v7().to_string();
    let manifest = Manifest::new(id, (begun, now()?), streams.into_values().collect(), acknowledged);
    folder.complete(&manifest)?;
    announce(&format!("saved {count} with {messages} in {}", options.folder.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn now() -> Result<String, Failure> {
    Ok(OffsetDateTime::now_utc().format(&Rfc3339)?)
}

/// A backup that is being made.
struct Backup {
    backups: Backups,
    config: Config,
    folder: NewFolder,
    /// What is saved, by name.
    streams: BTreeMap<String, SavedStream>,
}

impl Backup {
    /// Up to where the projectors of all shards have acknowledged.
    async fn acknowledged(&self, parts: &[Part]) -> Result<Vec<(String, u64)>, Failure> {
        let mut all = Vec::new();
        for shard in parts.iter().filter_map(Part::shard) {
            let consumer = shard.name(&self.config.projector.consumer);
            let acknowledged = self.backups.acknowledged(&consumer).await?;
            all.push((consumer, acknowledged));
        }
        Ok(all)
    }

    /// Saves all streams, in order. If a tenant's place changes while envelopes are saved, these are saved once more.
    async fn save_all(&mut self, parts: &[Part]) -> Result<(), Failure> {
        let from = parts.iter().position(Part::has_placements);
        let through = parts.iter().rposition(|part| part.shard().is_some());
        let (mut index, mut attempts, mut places) = (0, 0, BTreeMap::new());
        while let Some(part) = parts.get(index) {
            if from == Some(index) {
                places = self.backups.places().await?;
            }
            self.save(part).await?;
            index += 1;
            let is_behind_envelopes = through.is_some_and(|through| through + 1 == index);
            if let Some(from) = from.filter(|_| is_behind_envelopes)
                && self.have_changed(&places).await?
            {
                attempts += 1;
                if attempts == ATTEMPTS {
                    let reason = "tenants keep being moved or rebuilt while their envelopes are saved";
                    return Err(format!("{reason}; run the backup when that is done").into());
                }
                index = from;
            }
        }
        Ok(())
    }

    async fn have_changed(&self, places: &BTreeMap<Tenant, Place>) -> Result<bool, Failure> {
        Ok(self.backups.places().await? != *places)
    }

    /// Saves a stream, and its tail where messages replace each other.
    async fn save(&mut self, part: &Part) -> Result<(), Failure> {
        let has_consumers =
            part.shard().is_some() && self.config.consumers.store == ConsumerStoreKind::JetStream;
        let mut snapshot = self.backups.save(part, has_consumers).await?;
        let mut file = self.folder.file(&folder::snapshot(part.name()))?;
        while let Some(chunk) = snapshot.next().await? {
            file.write(&chunk)?;
        }
        self.folder.keep(file)?;
        let saved = snapshot.saved().clone();
        if part.behind() == Behind::Everything {
            self.save_tail(part, &saved).await?;
        }
        self.streams.insert(part.name().to_owned(), saved);
        Ok(())
    }

    /// Saves whose envelopes were purged since these were saved.
    async fn save_purges(&mut self, parts: &[Part]) -> Result<(), Failure> {
        for part in parts.iter().filter(|part| part.behind() == Behind::Purges) {
            if let Some(saved) = self.streams.get(part.name()).cloned() {
                self.save_tail(part, &saved).await?;
            }
        }
        Ok(())
    }

    async fn save_tail(&mut self, part: &Part, saved: &SavedStream) -> Result<(), Failure> {
        let mut tail = self.backups.tail(part, saved).await?;
        let mut file = self.folder.file(&folder::tail(part.name()))?;
        while let Some(messages) = tail.next().await? {
            write_messages(&mut file, &messages)?;
        }
        self.folder.keep(file)
    }
}

fn write_messages(file: &mut NewFile, messages: &[SavedMessage]) -> Result<(), Failure> {
    for message in messages {
        file.write(encode(message)?.as_bytes())?;
        file.write(b"\n")?;
    }
    Ok(())
}
