//! Moments of the log, as they are given: a position or a time.

use std::str::FromStr;

use jiff::Timestamp;
use snakepit_client::Moment;

/// A position, or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At(pub Moment);

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<u64>() {
            Ok(0) => Err("positions begin at 1".into()),
            Ok(position) => Ok(Self(Moment::Position(position))),
            Err(_) => Ok(Self(Moment::TimeMs(time_ms(text)?))),
        }
    }
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Moment::Now => f.write_str("now"),
            Moment::Position(position) => write!(f, "{position}"),
            Moment::TimeMs(ms) => f.write_str(&super::super::output::time(ms)),
        }
    }
}

/// A time of day in UTC or with an offset, as milliseconds since 1970.
pub(crate) fn time_ms(text: &str) -> Result<u64, String> {
    let time = Timestamp::from_str(text).map_err(|_| {
        format!("{text} is no time such as 2026-11-26T12:00:00Z; hint: give date, time and Z or an offset")
    })?;
    u64::try_from(time.as_millisecond()).map_err(|_| format!("{text} is before 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_times_are_told_apart() {
        assert_eq!("7".parse(), Ok(At(Moment::Position(7))));
        let at = At(Moment::TimeMs(1_700_000_000_123));
        assert_eq!("2023-11-14T22:13:20.123Z".parse(), Ok(at));
        assert_eq!("2023-11-14T23:13:20.123+01:00".parse(), Ok(at));
        assert_eq!(at.to_string(), "2023-11-14T22:13:20.123Z");
        for wrong in ["0", "-1", "yesterday", "1969-01-01T00:00:00Z"] {
            assert!(wrong.parse::<At>().is_err(), "{wrong}");
        }
    }
}
