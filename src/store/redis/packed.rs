//! A session as the scripts answer it: names and values in turn, packed into one string by `cmsgpack`, which every Redis and
//! Valkey has. (<https://github.com/msgpack/msgpack/blob/master/spec.md>)

use rmp::decode::{read_array_len, read_str_len};

use super::Pair;

/// Returns the names and values. `None` if the bytes were not packed in this way.
pub(super) fn unpack(mut packed: &[u8]) -> Option<Vec<Pair<'_>>> {
    let count = read_array_len(&mut packed).ok()? as usize;
    // The capacity is at most what the bytes could hold, because a length that was sent must not decide how much memory is
    // taken.
    let mut pairs = Vec::with_capacity((count / 2).min(packed.len()));
    for _ in 0..count / 2 {
        pairs.push((string(&mut packed)?, string(&mut packed)?));
    }
    (count.is_multiple_of(2) && packed.is_empty()).then_some(pairs)
}

fn string<'a>(packed: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = read_str_len(packed).ok()? as usize;
    let (string, rest) = packed.split_at_checked(len)?;
    *packed = rest;
    Some(string)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packs strings in the way `cmsgpack` does.
    fn pack(strings: &[&[u8]]) -> Vec<u8> {
        let mut packed = Vec::new();
        rmp::encode::write_array_len(&mut packed, strings.len() as u32).unwrap();
        for string in strings {
            rmp::encode::write_str_len(&mut packed, string.len() as u32).unwrap();
            packed.extend_from_slice(string);
        }
        packed
    }

    #[test]
    fn strings_of_every_length_come_back() {
        let lengths = [0, 1, 31, 32, 255, 256, 65_535, 65_536];
        let texts: Vec<_> = lengths.iter().map(|len| vec![0xFF; *len]).collect();
        let strings: Vec<_> = texts.iter().flat_map(|text| [b"name".as_slice(), text]).collect();
        let expected: Vec<_> = texts.iter().map(|text| (b"name".as_slice(), text.as_slice())).collect();
        assert_eq!(unpack(&pack(&strings)), Some(expected));
    }

    #[test]
    fn many_fields_come_back() {
        for count in [0, 7, 8, 40_000] {
            let strings = vec![b"x".as_slice(); count * 2];
            assert_eq!(unpack(&pack(&strings)).map(|pairs| pairs.len()), Some(count));
        }
    }

    #[test]
    fn a_seal_that_is_cut_off_or_something_else_is_no_seal() {
        let packed = pack(&[b"a", b"1", b"b", &[b'x'; 300]]);
        for len in 0..packed.len() {
            assert_eq!(unpack(&packed[..len]), None, "{len}");
        }
        assert_eq!(unpack(&[packed.as_slice(), b"x"].concat()), None);
        assert_eq!(unpack(&pack(&[b"a", b"1", b"b"])), None, "a name without a value");
        // an array that claims four thousand million strings but holds none; a map; a number
        for rubbish in [b"\xdd\xff\xff\xff\xfe".as_slice(), b"\x81\xa1a\xa11", b"\x92\xa1a\x01"] {
            assert_eq!(unpack(rubbish), None);
        }
    }
}
