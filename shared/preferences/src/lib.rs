//! What a user wants to be told by which channel, and when not. Pure: the time is handed in.
//!
//! ```text
//!   Preferences (of the user) ──┐
//!   Defaults (of the catalog) ──┼──▶ decide ──▶ Send | Skip: switched off, muted | Wait: quiet hours end at …
//!   Question, and the time ───────┘
//! ```
//!
//! Three invariants. What a catalog calls critical is always sent. A switch that the user has set counts more than the
//! catalog's default, whatever the catalog says later. And quiet hours are what a clock on the wall of their time zone shows, also
//! on the days on which it changes to summer time and back: [`QuietHours::end`] is the first moment at which they are over.

mod category;
mod decision;
mod preferences;
mod quiet_hours;

pub use category::{Category, CategoryError};
pub use decision::{Decision, Defaults, Question};
pub use preferences::{Preferences, TooManyCategories};
pub use quiet_hours::{ClockTime, QuietHours, QuietHoursError};
