//! Compares numbers by value, whatever their spelling: `1`, `1.0` and `1e0` are the same.
//!
//! Producers' languages spell numbers differently. A number that identifies something (in an address, a key or a
//! condition of a catalog) must not depend on that. Nothing is rounded: integers beyond 2^53 keep all of their digits.
//! Only numbers whose exponent exceeds 64 bits are compared by spelling.

use serde_json::{Number, Value};

/// The longest canonical form without an exponent, in characters. Every integer of 128 bits fits.
const LONGEST_PLAIN: usize = 40;

/// Returns the canonical spelling of a number, for texts that identify something: plain digits, or `1.5e+50` for very
/// large and very small numbers.
#[must_use]
pub fn canonical(number: &Number) -> String {
    let spelling = number.to_string();
    Decimal::parse(&spelling).map_or(spelling, |decimal| decimal.to_text())
}

/// Returns whether two JSON values are equal. Numbers are compared by value.
#[must_use]
pub fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || canonical(one) == canonical(other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let has =
                |(name, one): (&String, &Value)| other.get(name).is_some_and(|other| is_same(one, other));
            one.len() == other.len() && one.iter().all(has)
        }
        (one, other) => one == other,
    }
}

/// `digits` × 10^`exponent`. The digits neither begin nor end with a zero, and are empty for zero.
struct Decimal {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Parses a number in JSON's spelling, if its exponent fits.
    fn parse(spelling: &str) -> Option<Self> {
        let (is_negative, rest) = spelling.strip_prefix('-').map_or((false, spelling), |rest| (true, rest));
        let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0');
        let digits = significant.trim_end_matches('0');
        if digits.is_empty() {
            return Some(Self { is_negative: false, digits: String::new(), exponent: 0 });
        }
        let trailing = i64::try_from(significant.len() - digits.len()).ok()?;
        let shift = trailing.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        let exponent = exponent.parse::<i64>().ok()?.checked_add(shift)?;
        Some(Self { is_negative, digits: digits.to_owned(), exponent })
    }

    fn to_text(&self) -> String {
        let sign = if self.is_negative { "-" } else { "" };
        if self.digits.is_empty() {
            return "0".to_owned();
        }
        format!("{sign}{}", self.plain().unwrap_or_else(|| self.scientific()))
    }

    /// Returns the number without an exponent, if that is short enough.
    fn plain(&self) -> Option<String> {
        let length = i64::try_from(self.digits.len()).ok()?;
        let point = length.checked_add(self.exponent)?;
        let longest = i64::try_from(LONGEST_PLAIN).ok()?;
        if point > longest || point < -longest || length > longest {
            return None;
        }
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or_default());
        let text = if self.exponent >= 0 {
            format!("{}{}", self.digits, zeros(self.exponent))
        } else if point <= 0 {
            format!("0.{}{}", zeros(-point), self.digits)
        } else {
            let (whole, fraction) = self.digits.split_at_checked(usize::try_from(point).ok()?)?;
            format!("{whole}.{fraction}")
        };
        (text.len() <= LONGEST_PLAIN).then_some(text)
    }

    fn scientific(&self) -> String {
        let (first, rest) = self.digits.split_at_checked(1).unwrap_or((&self.digits, ""));
        let point = if rest.is_empty() { "" } else { "." };
        // Only numbers that the parser has refused exceed 64 bits here.
        let exponent = self.exponent.saturating_add(i64::try_from(rest.len()).unwrap_or(i64::MAX));
        format!("{first}{point}{rest}e{exponent:+}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn number(text: &str) -> Number {
        text.parse().unwrap()
    }

    #[test]
    fn a_value_has_one_spelling() {
        for (expected, spellings) in [
            ("1", &["1", "1.0", "1e0", "1E+0", "10e-1", "0.1e1", "1.000"][..]),
            ("0", &["0", "-0", "0.0", "-0.0", "0e5", "-0e99999999999999999999"]),
            ("-1.5", &["-1.5", "-15e-1", "-1.50"]),
            ("1000", &["1000", "1e3", "1.0e3"]),
            ("9007199254740993", &["9007199254740993", "9007199254740993.0", "9.007199254740993e15"]),
            ("9007199254740992", &["9007199254740992"]),
            ("340282366920938463463374607431768211455", &["340282366920938463463374607431768211455"]),
            ("0.000001", &["1e-6", "0.000001", "0.0000010"]),
            ("1e+400", &["1e400", "10e399", "0.1e401"]),
            ("1.5e-50", &["1.5e-50", "15e-51"]),
            ("12345678901234567890123", &["12345678901234567890123", "1.2345678901234567890123e22"]),
            ("1e+99999999999999999999", &["1e99999999999999999999"]),
        ] {
            for spelling in spellings {
                assert_eq!(canonical(&number(spelling)), expected, "{spelling}");
            }
        }
        let long = "9".repeat(41);
        assert_eq!(canonical(&number(&long)), format!("9.{}e+40", "9".repeat(40)));
    }

    #[test]
    fn values_are_the_same_whatever_the_spelling_of_their_numbers() {
        let read = |text: &str| crate::json::parse(text.as_bytes()).unwrap();
        assert!(is_same(&read(r#"{"a":[1,{"b":2.0}]}"#), &read(r#"{"a":[1.0,{"b":2}]}"#)));
        assert!(!is_same(&read("[1]"), &read("[1,1]")) && !is_same(&read(r#"{"a":1}"#), &read(r#"{"b":1}"#)));
        assert!(!is_same(&json!(1), &json!("1")) && !is_same(&json!(1), &json!(true)));
        assert!(!is_same(&read("9007199254740993"), &read("9007199254740992")));
    }

    proptest! {
        /// Moving the point and adding zeros does not change the value.
        #[test]
        fn spellings_of_a_value_are_one(value: i128, zeros in 0_usize..4, shift in 0_i64..50) {
            let canonical = |text: String| canonical(&number(&text));
            let plain = canonical(value.to_string());
            prop_assert_eq!(&plain, &value.to_string());
            prop_assert_eq!(&canonical(format!("{value}.{}", "0".repeat(zeros + 1))), &plain);
            prop_assert_eq!(&canonical(format!("{value}{}e-{shift}", "0".repeat(usize::try_from(shift).unwrap()))), &plain);
        }

        #[test]
        fn other_values_are_others(one: i64, other: i64, exponent in -60_i32..60) {
            let at = |value: i64| canonical(&number(&format!("{value}e{exponent}")));
            prop_assert_eq!(at(one) == at(other), one == other);
        }

        /// The canonical spelling is a number of the same value, and its own canonical spelling.
        #[test]
        fn the_canonical_spelling_is_the_number(value in any::<f64>().prop_filter("in JSON", |value| value.is_finite())) {
            let text = canonical(&Number::from_f64(value).unwrap());
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), (value + 0.0).to_bits());
            prop_assert_eq!(canonical(&number(&text)), text);
        }
    }
}
