//! The fingerprint of a batch whose lists lie side by side.

/// An odd number of random bits: the golden ratio.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Sums that are added to in turn, so that no multiplication waits for the one before.
const LANES: usize = 8;

/// The fingerprint of the tables before, with that of a batch of these sizes, whose rows and starts are these words: 64 bits, as [`ttcore::Bags::fingerprint`], and as unlikely to be the same for two batches, but several times as
/// fast. The number is another: fingerprints are compared with those of the same backend alone.
pub(super) fn digest(before: u64, sizes: [usize; 3], words: &[u64]) -> u64 {
    let add = |digest: u64, word: u64| (digest.rotate_left(23) ^ word).wrapping_mul(ODD);
    let mut lanes: [u64; LANES] = std::array::from_fn(|lane| mix(lane as u64 + 1));
    let (whole, rest) = words.as_chunks::<LANES>();
    for chunk in whole {
        for (lane, &word) in lanes.iter_mut().zip(chunk) {
            *lane = add(*lane, word);
        }
    }
    for (lane, &word) in lanes.iter_mut().zip(rest) {
        *lane = add(*lane, word);
    }
    let start = sizes.into_iter().fold(before, |digest, size| add(digest, size as u64));
    lanes.into_iter().fold(start, |digest, lane| add(digest, mix(lane)))
}

/// The output function of SplitMix64: every bit of the input reaches every bit of the output.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(ODD);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_and_count_matters() {
        let words: Vec<u64> = (0..21).collect();
        let digest_of = |words: &[u64]| digest(7, [3, 4, 0], words);
        let mut digests =
            vec![digest_of(&words), digest(8, [3, 4, 0], &words), digest(7, [4, 3, 0], &words), digest_of(&words[1..])];
        for at in 0..words.len() {
            let mut other = words.clone();
            other[at] ^= 1 << (3 * at);
            digests.push(digest_of(&other));
            let mut swapped = words.clone();
            swapped.swap(at, (at + LANES) % words.len());
            digests.push(digest_of(&swapped));
        }
        let count = digests.len();
        digests.sort_unstable();
        digests.dedup();
        // Of 21 swaps with the eighth behind, none is another's.
        assert_eq!(digests.len(), count);
        assert_eq!(digest_of(&words), digest_of(&words.clone()));
    }
}
