//! Randomness that can be had again.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// Names the environment variable that sets the seed.
pub const VARIABLE: &str = "SNAKEPIT_SEED";

/// The seed of this run, printed: the one of [`VARIABLE`], else a new one.
pub fn take() -> u64 {
    let seed = match std::env::var(VARIABLE) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{VARIABLE} is {text:?}; give a number")),
        Err(_) => rand::random(),
    };
    println!("seed: {seed}; run again with {VARIABLE}={seed}");
    seed
}

/// Random numbers from a seed; each `stream` of a seed has its own.
pub fn random(seed: u64, stream: u64) -> StdRng {
    StdRng::seed_from_u64(seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
