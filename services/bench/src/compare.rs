//! `tidings-bench compare`: the same scenes on Tidings and on a Centrifugo that the user gives, in turns, side by side.
//!
//! Both are fed from the stream `EVENTS` of a nats-server of their own: Tidings through its projector, Centrifugo through
//! its own JetStream consumer. The same tokens, payloads and clients; the time of nats-server counts for both. No code of
//! Centrifugo is here: its configuration is made by [`centrifugo`], its JSON protocol is spoken by [`session`].
//!
//! A scene is written once, for a [`system::System`], and knows nothing of which one it is.

mod centrifugo;
mod crowd;
mod options;
mod publisher;
mod scene;
mod scenes;
mod session;
mod system;
mod wire;

pub(crate) use self::options::{Options, Part};
use self::scene::{Scene, measure};
use self::system::Kind;
use crate::failure::Failure;
use crate::report::{Report, Section, progress};

/// Plays the chosen scenes.
pub(crate) async fn run(options: &Options, report: &mut Report) -> Result<(), Failure> {
    let centrifugo = options.centrifugo.as_deref().map(centrifugo::Binary::find).transpose()?;
    match &centrifugo {
        Some(binary) => {
            progress(&format!("{}, configured with\n{:#}", binary.version, centrifugo::example()?));
        }
        None => progress("without --centrifugo, there is nothing beside Tidings"),
    }
    let mut version = centrifugo.as_ref().map(|binary| binary.version.clone());
    let kinds: Vec<Kind> = centrifugo.into_iter().map(Kind::Centrifugo).chain([Kind::Tidings]).collect();
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    for part in Part::ALL.into_iter().filter(|part| wanted(*part)) {
        let section = match part {
            Part::Memory => play::<scenes::Memory>(&kinds, options).await,
            Part::Fanout => play::<scenes::Fanout>(&kinds, options).await,
            Part::Alone => play::<scenes::Alone>(&kinds, options).await,
            Part::Personal => play::<scenes::Personal>(&kinds, options).await,
            Part::Arrive => play::<scenes::Arrive>(&kinds, options).await,
            Part::Storm => play::<scenes::Storm>(&kinds, options).await,
            Part::Slow => play::<scenes::Slow>(&kinds, options).await,
            Part::Kill => play::<scenes::Kill>(&kinds, options).await,
        };
        let mut section = section?;
        // With the first table, since what is copied elsewhere begins there.
        if let Some(version) = version.take() {
            section.note(version);
        }
        report.add(section);
    }
    Ok(())
}

async fn play<S: Scene>(kinds: &[Kind], options: &Options) -> Result<Section, Failure> {
    Box::pin(measure::<S>(kinds, options)).await
}
