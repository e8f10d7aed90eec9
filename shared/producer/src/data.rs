//! The building blocks of the types that `tidings-producer-build` generates.

pub use serde;
pub use serde_json::{Map, Value};

use serde::{Serialize, Serializer};

/// The data of one kind of event.
pub trait EventData: Serialize {
    /// `<entity>.<action>`.
    const EVENT: &'static str;
}

/// Writes a number like JavaScript: 45, not 45.0. Whole numbers up to 2⁵³ are exact.
pub fn number<N: Copy + Into<Option<f64>>, S: Serializer>(
    number: &N,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match (*number).into() {
        None => serializer.serialize_none(),
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and has at most 53 bits")]
        Some(number) if number.fract() == 0.0 && number.abs() <= EXACT => {
            serializer.serialize_i64(number as i64)
        }
        Some(number) => serializer.serialize_f64(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Measured(#[serde(serialize_with = "number")] Option<f64>);

    #[test]
    fn numbers_are_written_as_javascript_does() {
        let text = |number| serde_json::to_string(&Measured(number)).unwrap();
        let written = [Some(45.0), Some(-0.5), Some(1e300), None].map(text);
        assert_eq!(written, ["45", "-0.5", "1e+300", "null"]);
    }
}
