//! Shares of energy: the energy of an interval, divided by processor time so that not a microjoule is lost.

use std::cmp::Reverse;

/// Divides energies; what it needs for that is kept from one interval to the next.
#[derive(Debug, Default)]
pub(super) struct Divider {
    /// What is left of each part when it is cut to whole microjoules, and which part it is.
    rests: Vec<(u128, Reverse<usize>)>,
}

impl Divider {
    /// Writes to `shares` the parts of `energy` that belong to `weights`. They add up to it exactly: what is left when all
    /// are cut to whole microjoules goes to those that lost most by that (the largest remainder), one to each.
    ///
    /// Where nobody has any weight, the first one gets all.
    pub(super) fn divide(&mut self, energy: u64, weights: &[u64], shares: &mut Vec<u64>) {
        shares.clear();
        self.rests.clear();
        let whole: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
        if whole == 0 {
            shares.extend(weights.iter().enumerate().map(|(at, _)| if at == 0 { energy } else { 0 }));
            return;
        }
        let mut left = energy;
        for (at, weight) in weights.iter().enumerate() {
            let product = u128::from(energy) * u128::from(*weight);
            // No part is larger than the whole.
            let share = u64::try_from(product / whole).unwrap_or(u64::MAX);
            left = left.saturating_sub(share);
            shares.push(share);
            if product % whole > 0 {
                self.rests.push((product % whole, Reverse(at)));
            }
        }
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(self.rests.len());
        if count == 0 {
            return;
        }
        let last = self.rests.len() - count;
        self.rests.select_nth_unstable(last);
        for (_, Reverse(at)) in self.rests.iter().skip(last) {
            if let Some(share) = shares.get_mut(*at) {
                *share += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn divide(energy: u64, weights: &[u64]) -> Vec<u64> {
        let mut shares = Vec::new();
        Divider::default().divide(energy, weights, &mut shares);
        shares
    }

    #[test]
    fn the_largest_remainders_are_rounded_up() {
        assert_eq!(divide(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(divide(10, &[0, 5, 1]), [0, 8, 2]);
        assert_eq!(divide(0, &[3, 4]), [0, 0]);
        assert_eq!(divide(7, &[0, 0]), [7, 0]);
        assert_eq!(divide(7, &[]), [0; 0]);
    }

    proptest! {
        #[test]
        fn shares_add_up_and_are_fair(energy: u64, weights in prop::collection::vec(prop_oneof![Just(0), any::<u64>(), 0u64..1000], 1..200)) {
            let shares = divide(energy, &weights);
            let sum: u128 = shares.iter().map(|share| u128::from(*share)).sum();
            prop_assert_eq!(sum, u128::from(energy));
            let whole: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
            for (share, weight) in shares.iter().zip(&weights) {
                if let Some(floor) = (u128::from(energy) * u128::from(*weight)).checked_div(whole) {
                    prop_assert!((floor..=floor + 1).contains(&u128::from(*share)));
                    prop_assert!(*weight > 0 || *share == 0, "no time, no energy");
                }
            }
        }
    }
}
