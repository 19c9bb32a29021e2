//! The letters that byte-level vocabularies (GPT-2, Llama 3, Qwen) spell bytes with.

/// Returns the byte that `letter` spells. Printable bytes of Latin-1 are spelled as themselves; the
/// others are numbered from U+0100 on, in order.
pub(crate) fn byte_of(letter: char) -> Option<u8> {
    let code = u32::from(letter);
    let byte = match code {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => code,
        0x100..=0x120 => code - 0x100,
        0x121..=0x142 => code - 0x121 + 0x7f,
        0x143 => 0xad,
        _ => return None,
    };
    u8::try_from(byte).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of GPT-2, whose 256 letters are all different.
    #[test]
    fn every_byte_has_its_letter() {
        let letters = ('!'..='\u{143}').filter_map(byte_of);
        let mut bytes: Vec<u8> = letters.collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
    }
}
