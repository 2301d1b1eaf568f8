//! How long to wait before the next try.

use std::time::Duration;

use uuid::Uuid;

const FIRST: Duration = Duration::from_millis(40);
const LONGEST: Duration = Duration::from_secs(1);

/// Nothing while there are nodes that were not asked yet; then twice as long after each round, between half
/// and all of it at random.
pub(crate) fn wait(tries: usize, nodes: usize) -> Duration {
    let round = tries / nodes.max(1);
    if round == 0 {
        return Duration::ZERO;
    }
    let exponent = u32::try_from(round - 1).unwrap_or(u32::MAX).min(10);
    let whole = FIRST.saturating_mul(1 << exponent).min(LONGEST);
    whole.mul_f64(0.5 + 0.5 * fraction())
}

/// Random, 0 to 1.
fn fraction() -> f64 {
    let random = Uuid::new_v4().as_u64_pair().1 & 0xffff_ffff;
    random as f64 / 4_294_967_295.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_with_rounds_and_end_at_a_second() {
        assert_eq!(wait(2, 3), Duration::ZERO);
        for (tries, low, high) in [(3, 20, 40), (6, 40, 80), (300, 500, 1_000)] {
            let waited = wait(tries, 3).as_millis();
            assert!(
                (low..=high).contains(&waited),
                "{waited} ms after {tries} tries"
            );
        }
    }
}
