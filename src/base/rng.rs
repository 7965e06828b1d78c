//! Random streams that depend on what they are for, never on when they are asked.
//!
//! A stream is named by `(seed, purpose, name, step)`; inside it a number is found by `(row, column)`.
//! So a wide and a narrow network share the draws of their common block, an inserted event never
//! shifts the data order, and resuming a run needs integers only. Generator: ChaCha8 with the key
//! blake3(purpose, name, seed, step), the row as its stream number and the column as its position.
//! The distributions are our own, because libraries change theirs between releases.

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};

/// What a stream is drawn for. The words are part of the key, so they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Initial weights: row = output unit, column = input index.
    Init,
    /// Fresh weights of a growth event; the step is the event's.
    Growth,
    /// Dropout masks: row = position in the batch, column = unit.
    Dropout,
    /// Order of the examples: the step is the epoch.
    Shuffle,
    /// Which example goes to which part.
    Split,
    /// Generated data.
    Data,
}

impl Purpose {
    fn word(self) -> &'static str {
        match self {
            Purpose::Init => "init",
            Purpose::Growth => "growth",
            Purpose::Dropout => "dropout",
            Purpose::Shuffle => "shuffle",
            Purpose::Split => "split",
            Purpose::Data => "data",
        }
    }
}

/// All numbers of one `(seed, purpose, name, step)`.
pub struct Stream(ChaCha8Rng);

impl Stream {
    pub fn new(seed: u64, purpose: Purpose, name: &str, step: u64) -> Stream {
        let mut key = blake3::Hasher::new();
        for word in [purpose.word(), name] {
            key.update(&(word.len() as u64).to_le_bytes());
            key.update(word.as_bytes());
        }
        key.update(&seed.to_le_bytes());
        key.update(&step.to_le_bytes());
        Stream(ChaCha8Rng::from_seed(*key.finalize().as_bytes()))
    }

    /// The numbers of one row, from column 0 on.
    pub fn row(&mut self, row: u64) -> Row<'_> {
        self.row_from(row, 0)
    }

    /// The numbers of one row, from `column` on.
    pub fn row_from(&mut self, row: u64, column: u64) -> Row<'_> {
        self.0.set_stream(row);
        self.0.set_word_pos(u128::from(column) * 2);
        Row(&mut self.0)
    }

    /// A permutation of `0..n` (Fisher–Yates, from the last place down).
    pub fn permutation(&mut self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..u32::try_from(n).expect("at most 4e9 examples")).collect();
        let mut row = self.row(0);
        for last in (1..n).rev() {
            // Multiplying 64 random bits keeps the bias below 2^-32 for every n of ours.
            let at = ((u128::from(row.bits()) * (last as u128 + 1)) >> 64) as usize;
            order.swap(last, at);
        }
        order
    }
}

/// One row of a stream. Every draw uses exactly one column (two words of the generator).
pub struct Row<'a>(&'a mut ChaCha8Rng);

impl Row<'_> {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in [0, 1), a multiple of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Standard normal, by Box and Muller's cosine.
    pub fn normal(&mut self) -> f64 {
        let bits = self.bits();
        // Halves of the column: the radius from (0, 1], so that its logarithm is finite, the angle from [0, 1).
        let radius = ((bits >> 32) as f64 + 1.0) * (1.0 / 4_294_967_296.0);
        let angle = (bits & 0xFFFF_FFFF) as f64 * (1.0 / 4_294_967_296.0);
        (-2.0 * libm::log(radius)).sqrt() * libm::cos(std::f64::consts::TAU * angle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_vectors() {
        let mut stream = Stream::new(7, Purpose::Init, "h1.weight", 0);
        let mut row = stream.row(3);
        let drawn: Vec<u64> = (0..3).map(|_| row.bits()).collect();
        assert_eq!(drawn, GOLDEN_BITS, "the generator's bits changed: old records no longer replay");
        let normal = stream.row(0).normal();
        assert_eq!(normal.to_bits(), GOLDEN_NORMAL, "the normal distribution changed: {normal:?}");
        assert_eq!(Stream::new(1, Purpose::Shuffle, "", 2).permutation(8), GOLDEN_ORDER);
    }

    const GOLDEN_BITS: [u64; 3] = [6693709164603185038, 6645600250776133636, 6736118247431709766];
    const GOLDEN_NORMAL: u64 = 13821048306807032846;
    const GOLDEN_ORDER: [u32; 8] = [2, 0, 3, 7, 4, 5, 6, 1];

    #[test]
    fn a_column_is_found_without_its_predecessors() {
        let mut stream = Stream::new(1, Purpose::Growth, "h2", 400);
        let in_order: Vec<u64> = {
            let mut row = stream.row(9);
            (0..20).map(|_| row.bits()).collect()
        };
        for (column, expected) in in_order.iter().enumerate() {
            assert_eq!(stream.row_from(9, column as u64).bits(), *expected);
        }
    }

    #[test]
    fn the_normal_has_the_moments_of_a_normal() {
        let mut stream = Stream::new(5, Purpose::Init, "x", 0);
        let mut row = stream.row(0);
        let n = 200_000;
        let draws: Vec<f64> = (0..n).map(|_| row.normal()).collect();
        let mean = draws.iter().sum::<f64>() / n as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        // Five standard errors of each estimate.
        assert!(mean.abs() < 5.0 / (n as f64).sqrt(), "{mean}");
        assert!((variance - 1.0).abs() < 5.0 * (2.0 / n as f64).sqrt(), "{variance}");
    }
}
