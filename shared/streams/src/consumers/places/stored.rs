//! Places in a record. They are stored among its subscriptions, under a name that no topic has: a gateway of an older version,
//! which accepts no unknown member, takes them for a topic that is gone, and keeps them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use tidings_model::{PlacedPosition, Position};

use super::super::subscription::Subscription;
use super::{Client, Place, PlaceName, Places};

/// The name in place of a topic's; catalogs have no topic with a control character.
pub(in super::super) const PLACES: &str = "\u{0}places";

/// Marks of values, in front of a position and of a topic; and whole values.
const POSITION: char = '@';
const TOPIC: char = '#';
const LEFT: &str = "left";
const EVERYTHING: &str = "everything";

/// The places as a subscription; `None` if there are none. A place is an attribute of the filter, its values say the rest.
pub(in super::super) fn to_subscription(places: &Places) -> Option<Subscription> {
    let places = places.0.as_ref()?;
    let filter = places.iter().map(|(name, place)| (name.to_string(), values(place))).collect();
    Some(Subscription { filter, since: 0 })
}

fn values(place: &Place) -> BTreeSet<String> {
    let PlacedPosition { generation, position } = place.position;
    let mut values = BTreeSet::from([format!("{POSITION}{generation}/{position}")]);
    match &place.client {
        Client::Left => _ = values.insert(LEFT.to_owned()),
        Client::Everything => _ = values.insert(EVERYTHING.to_owned()),
        Client::Topics(topics) => values.extend(topics.iter().map(|topic| format!("{TOPIC}{topic}"))),
    }
    values
}

/// Reads what [`to_subscription`] has made.
pub(in super::super) fn from_subscription(stored: &Subscription) -> Result<Places, MalformedPlaces> {
    if stored.filter.is_empty() || stored.since != 0 {
        return Err(MalformedPlaces("places".to_owned()));
    }
    let places: BTreeMap<_, _> = stored
        .filter
        .iter()
        .map(|(name, values)| {
            let read = PlaceName::read(name).zip(place(values));
            read.ok_or_else(|| MalformedPlaces(name.clone()))
        })
        .collect::<Result<_, _>>()?;
    Ok(Places(Some(Box::new(places.into_iter().collect()))))
}

fn place(values: &BTreeSet<String>) -> Option<Place> {
    let (mut position, mut client, mut topics) = (None, None, Vec::new());
    for value in values {
        if let Some(text) = value.strip_prefix(POSITION) {
            let is_first = position.replace(placed(text)?).is_none();
            is_first.then_some(())?;
        } else if let Some(topic) = value.strip_prefix(TOPIC) {
            topics.push(topic.to_owned());
        } else {
            let said = match value.as_str() {
                LEFT => Client::Left,
                EVERYTHING => Client::Everything,
                _ => return None,
            };
            let is_first = client.replace(said).is_none();
            is_first.then_some(())?;
        }
    }
    let client = match client {
        None => Client::Topics(topics),
        Some(client) => topics.is_empty().then_some(client)?,
    };
    Some(Place { position: position?, client })
}

fn placed(text: &str) -> Option<PlacedPosition> {
    let (generation, position) = text.split_once('/')?;
    let number: u32 = generation.parse().ok()?;
    let position: Position = position.parse().ok()?;
    (number.to_string() == generation).then_some(PlacedPosition { generation: number, position })
}

impl PlaceName {
    /// Reads what `Display` writes.
    fn read(text: &str) -> Option<Self> {
        let (of_gateway, gateway) = text.split_once('/')?;
        let (life, number) = of_gateway.split_once('-')?;
        let (life, number) = (u64::from_str_radix(life, 16).ok()?, number.parse().ok()?);
        let name = Self::new(gateway.into(), life, number);
        (name.to_string() == text).then_some(name)
    }
}

/// What stands for places in a record cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the place {0:?} of a client without a device cannot be read")]
pub(in super::super) struct MalformedPlaces(String);
