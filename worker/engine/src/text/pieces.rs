//! The pieces that a SentencePiece model splits a text into, and their positions.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use sentencepiece_rs::{SentencePieceModel, SentencePieceProcessor};

use super::normalization::Normalization;
use crate::Error;
use crate::model::disk;

/// A SentencePiece model.
pub(super) struct Pieces {
    processor: SentencePieceProcessor,
    normalization: Normalization,
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// The piece as the model spells it; the characters themselves if the model has no piece for
    /// them.
    pub(super) text: String,
    /// Byte range of the text that the piece covers.
    pub(super) range: (usize, usize),
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pieces")
            .field(&self.model().vocab_size())
            .finish()
    }
}

impl Pieces {
    /// Loads the model at `path`. Fails if it is damaged.
    pub(super) fn load(path: &Path) -> Result<Self, Error> {
        let damaged = |reason: String| Error::ModelContent {
            path: path.to_owned(),
            reason,
        };
        let bytes = disk::read(path)?;
        let processor = SentencePieceProcessor::from_serialized_model(&bytes)
            .map_err(|error| damaged(error.to_string()))?;
        let normalization = Normalization::read(&bytes, processor.model()).map_err(damaged)?;
        Ok(Self {
            processor,
            normalization,
        })
    }

    /// Returns the underlying model, which holds the vocabulary.
    pub(super) fn model(&self) -> &SentencePieceModel {
        self.processor.model()
    }

    /// Splits `part`, which begins at byte `start` of the whole text, into pieces.
    pub(super) fn cut(&self, part: &str, start: usize) -> Result<Vec<Piece>, Error> {
        let pieces = self.processor.encode(part);
        let pieces = pieces.map_err(|error| Error::Tokenize {
            reason: error.to_string(),
        })?;
        let normalized = self.normalization.apply(part);
        let mut at = 0;
        let place = |text: String| {
            let own: Range<usize> = at..at + self.length(&text);
            at = own.end;
            let (first, last) = normalized.origin(own.start, own.end);
            Piece {
                text,
                range: (start + first, start + last),
            }
        };
        Ok(pieces.into_iter().map(place).collect())
    }

    /// Returns how many bytes of the normalized text a piece covers: one if it is a byte piece
    /// such as `<0x0A>`, otherwise its own length.
    fn length(&self, piece: &str) -> usize {
        let id = self.model().try_piece_to_id(piece);
        if id.is_some_and(|id| self.model().is_byte(id)) {
            1
        } else {
            piece.len()
        }
    }

    /// Normalizes a text with the library and with our own computation, to compare the two.
    #[cfg(test)]
    fn normalize_twice(&self, text: &str) -> (String, String) {
        let library = self.processor.normalize(text).unwrap();
        (library, self.normalization.apply(text).text)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    fn models() -> Vec<Pieces> {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests");
        let files = [
            "text/models/t5/spiece.model",
            "text/models/mbart50/sentencepiece.bpe.model",
            "models/lo-en-fr-tiny/source.spm",
        ];
        let load = |file: &str| Pieces::load(&PathBuf::from(&tests).join(file)).unwrap();
        files.map(load).into()
    }

    #[test]
    fn texts_are_normalized_as_the_library_does() {
        let models = models();
        let character = prop_oneof![
            proptest::char::any(),
            proptest::sample::select(vec![' ', '\u{3000}', 'e', '\u{301}', 'ﬁ', '½', '▁', '\t']),
        ];
        let texts = proptest::collection::vec(character, 0..12);
        proptest!(|(text in texts)| {
            let text: String = text.into_iter().collect();
            for model in &models {
                let (library, own) = model.normalize_twice(&text);
                prop_assert_eq!(library, own);
            }
        });
    }
}
