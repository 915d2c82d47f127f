//! Changes of kept inputs, at random.

use proptest::prelude::Rng as _;
use proptest::test_runner::TestRng;

use crate::targets::Target;

/// Numbers at which parsers go wrong.
const ODD_NUMBERS: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 32,
    u64::MAX >> 1,
    u64::MAX,
];

/// A kept input with up to eight changes.
pub(crate) fn changed(random: &mut TestRng, kept: &[Vec<u8>], target: &Target) -> Vec<u8> {
    let mut input = chosen(random, kept).cloned().unwrap_or_default();
    for _change in 0..=below(random, 8) {
        change(random, &mut input, kept, target);
    }
    input.truncate(target.bytes_max);
    input
}

fn below(random: &mut TestRng, end: usize) -> usize {
    let end = u64::try_from(end.max(1)).expect("a number");
    usize::try_from(random.next_u64() % end).expect("a number")
}

fn chosen<'a, T>(random: &mut TestRng, all: &'a [T]) -> Option<&'a T> {
    all.get(below(random, all.len()))
}

fn byte(random: &mut TestRng) -> u8 {
    random.next_u64().to_be_bytes()[0]
}

/// A part of so many bytes: most are short.
fn part(random: &mut TestRng, length: usize) -> std::ops::Range<usize> {
    let start = below(random, length + 1);
    let most = if byte(random).is_multiple_of(4) { length } else { 16 };
    let end = (start + below(random, most + 1)).min(length);
    start..end
}

fn change(random: &mut TestRng, input: &mut Vec<u8>, kept: &[Vec<u8>], target: &Target) {
    let at = below(random, input.len() + 1);
    let here = part(random, input.len());
    match below(random, 12) {
        0 => {
            let bit = 1 << below(random, 8);
            input.get_mut(at).into_iter().for_each(|byte| *byte ^= bit);
        }
        1 => {
            let other = byte(random);
            input.get_mut(at).into_iter().for_each(|byte| *byte = other);
        }
        2 => {
            let by = if byte(random).is_multiple_of(2) { 1 } else { u8::MAX };
            input.get_mut(at).into_iter().for_each(|byte| *byte = byte.wrapping_add(by));
        }
        3 => drop(input.drain(here)),
        4 => {
            let again = input.get(here).unwrap_or_default().to_vec();
            let times = 1 + below(random, 4);
            drop(input.splice(at..at, again.repeat(times)));
        }
        5 => {
            let count = below(random, 9);
            let new: Vec<u8> = (0..count).map(|_byte| byte(random)).collect();
            drop(input.splice(at..at, new));
        }
        6 | 7 => {
            let token = chosen(random, target.tokens).map_or(&[][..], |token| token.as_bytes());
            let over = if byte(random).is_multiple_of(2) { at..at } else { here };
            drop(input.splice(over, token.iter().copied()));
        }
        8 => {
            let other = chosen(random, kept).cloned().unwrap_or_default();
            let there = part(random, other.len());
            let there = other.get(there).unwrap_or_default().to_vec();
            drop(input.splice(here, there));
        }
        9 => {
            let other = chosen(random, kept).cloned().unwrap_or_default();
            let from = below(random, other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(other.get(from..).unwrap_or_default());
        }
        10 => odd_number(random, input, at),
        _ => input.truncate(at),
    }
}

fn odd_number(random: &mut TestRng, input: &mut Vec<u8>, at: usize) {
    let number = chosen(random, &ODD_NUMBERS).copied().unwrap_or_default();
    let mut bytes = number.to_be_bytes().to_vec();
    match below(random, 4) {
        0 => drop(bytes.drain(..7)),
        1 => drop(bytes.drain(..6)),
        2 => drop(bytes.drain(..4)),
        _ => {}
    }
    if byte(random).is_multiple_of(4) {
        // As protobuf has it.
        bytes.clear();
        prost::encoding::encode_varint(number, &mut bytes);
    }
    let end = (at + bytes.len()).min(input.len());
    drop(input.splice(at..end, bytes));
}
