//! A circuit breaker for each tool of a pool: a tool that fails again and again is refused for a while, so that
//! callers learn it at once and workers are spared.
//!
//! A failure is a call that lost its worker or ran out of time at one. An exception is an answer, not a
//! failure. Closed lets all calls through; open none; half open a few, to try.

use std::time::{Duration, Instant};

use super::super::settings::PoolSettings;

/// What a circuit does with calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum Phase {
    #[default]
    Closed,
    Open,
    HalfOpen,
}

impl Phase {
    pub(in super::super) fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// One tool's circuit.
#[derive(Debug, Default)]
pub(in super::super) struct Circuit {
    phase: Phase,
    /// In a row.
    pub(in super::super) failures: u32,
    opened: Option<Instant>,
    /// Calls that were let through to try, and have not ended.
    trials: u32,
}

impl Circuit {
    /// Let a call through; else the time after which it is worth another try.
    pub(super) fn admit(&mut self, settings: &PoolSettings, now: Instant) -> Result<(), Duration> {
        match self.phase_at(settings, now) {
            Phase::Closed => Ok(()),
            Phase::Open => Err(self.retry_after(settings, now)),
            Phase::HalfOpen if self.trials < settings.breaker_trials => {
                self.phase = Phase::HalfOpen;
                self.trials += 1;
                Ok(())
            }
            Phase::HalfOpen => Err(Duration::from_millis(settings.breaker_reset_ms)),
        }
    }

    /// A call ended well; true where that closes the circuit.
    pub(super) fn succeeded(&mut self) -> bool {
        self.failures = 0;
        let closes = self.phase == Phase::HalfOpen;
        if closes {
            *self = Self::default();
        }
        closes
    }

    /// A call failed; true where that opens the circuit.
    pub(super) fn failed(&mut self, settings: &PoolSettings, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        let opens = match self.phase {
            Phase::Closed => {
                settings.breaker_failures > 0 && self.failures >= settings.breaker_failures
            }
            Phase::HalfOpen => true,
            Phase::Open => false,
        };
        if opens {
            self.phase = Phase::Open;
            self.opened = Some(now);
            self.trials = 0;
        }
        opens
    }

    /// A call that was let through ended without telling anything.
    pub(super) fn gone(&mut self) {
        self.trials = self.trials.saturating_sub(1);
    }

    /// Whether it is not simply closed.
    pub(in super::super) fn opened(&self) -> bool {
        self.phase != Phase::Closed
    }

    /// What it does with calls now.
    pub(in super::super) fn phase_at(&self, settings: &PoolSettings, now: Instant) -> Phase {
        match self.phase {
            Phase::Open if self.retry_after(settings, now).is_zero() => Phase::HalfOpen,
            phase => phase,
        }
    }

    /// How long it stays open.
    pub(in super::super) fn retry_after(&self, settings: &PoolSettings, now: Instant) -> Duration {
        let reset = Duration::from_millis(settings.breaker_reset_ms);
        self.opened.map_or(Duration::ZERO, |opened| {
            reset.saturating_sub(now.saturating_duration_since(opened))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_tries_and_closes() {
        let settings = PoolSettings {
            breaker_failures: 2,
            breaker_reset_ms: 100,
            ..PoolSettings::default()
        };
        let mut now = Instant::now();
        let mut circuit = Circuit::default();
        assert!(!circuit.failed(&settings, now));
        circuit.succeeded();
        assert!(!circuit.failed(&settings, now), "failures count in a row");
        assert!(circuit.failed(&settings, now));
        assert_eq!(
            circuit.admit(&settings, now),
            Err(Duration::from_millis(100))
        );
        now += Duration::from_millis(100);
        assert_eq!(circuit.phase_at(&settings, now), Phase::HalfOpen);
        assert_eq!(circuit.admit(&settings, now), Ok(()));
        assert!(
            circuit.admit(&settings, now).is_err(),
            "one trial at a time"
        );
        assert!(circuit.failed(&settings, now), "a failed trial opens again");
        now += Duration::from_millis(100);
        assert_eq!(circuit.admit(&settings, now), Ok(()));
        assert!(circuit.succeeded());
        assert_eq!(circuit.admit(&settings, now), Ok(()));
    }
}
