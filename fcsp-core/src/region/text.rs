//! Reading and writing a [`Text`]: short UTF-8 in whole words, padded with zeros.

use super::layout::Text;
use crate::sync::Ordering;

impl<const WORDS: usize> Text<WORDS> {
    /// Longest text that fits, bytes.
    pub const BYTES_MAX: usize = WORDS * 8;

    /// True if `text` can be kept whole: it has 1 to [`Self::BYTES_MAX`] bytes, none of them zero.
    pub fn fits(text: &str) -> bool {
        (1..=Self::BYTES_MAX).contains(&text.len()) && !text.as_bytes().contains(&0)
    }

    /// Writes `text`, cut to what fits at a character's end. The record that holds it is not
    /// published yet: nobody reads meanwhile.
    pub fn write(&self, text: &str) {
        let end = (0..=text.len().min(Self::BYTES_MAX))
            .rev()
            .find(|end| text.is_char_boundary(*end))
            .unwrap_or(0);
        let bytes = &text.as_bytes()[..end];
        for (index, word) in self.0.iter().enumerate() {
            let mut part = [0; 8];
            let rest = bytes.get(index * 8..).unwrap_or_default();
            let length = rest.len().min(8);
            part[..length].copy_from_slice(&rest[..length]);
            // Relaxed: the state of the record, released after this, publishes it.
            word.store(u64::from_le_bytes(part), Ordering::Relaxed);
        }
    }

    /// The text. What is not UTF-8 (a writer that was killed, another writer meanwhile) comes out as
    /// replacement characters.
    pub fn read(&self) -> String {
        let bytes: Vec<u8> = self
            .0
            .iter()
            .flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes())
            .take_while(|byte| *byte != 0)
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// True if the text is `text`. Does not allocate.
    pub fn is(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        bytes.len() <= Self::BYTES_MAX
            && self.0.iter().enumerate().all(|(index, word)| {
                let mut part = [0; 8];
                let rest = bytes.get(index * 8..).unwrap_or_default();
                let length = rest.len().min(8);
                part[..length].copy_from_slice(&rest[..length]);
                word.load(Ordering::Relaxed) == u64::from_le_bytes(part)
            })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::AtomicU64;

    fn empty() -> Text<2> {
        Text(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    #[test]
    fn a_text_is_read_as_it_was_written() {
        for text in ["", "a", "12345678", "123456789", "sixteen bytes it"] {
            let it = empty();
            it.write("something else!!");
            it.write(text);
            assert_eq!(it.read(), text);
            assert!(it.is(text));
            assert!(!it.is("another") && !it.is("sixteen bytes it and more"));
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let it = empty();
        it.write("fifteen bytes..é and more");
        assert_eq!(it.read(), "fifteen bytes..");
    }

    #[test]
    fn only_what_can_be_kept_whole_fits() {
        assert!(Text::<2>::fits("sixteen bytes it"));
        for text in ["", "seventeen bytes i", "ze\0ro"] {
            assert!(!Text::<2>::fits(text));
        }
    }
}
