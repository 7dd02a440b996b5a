//! Which texts can be a plate at all: the orders of letters and digits that are in use where the camera stands.
//!
//! Which orders those are is the caller's knowledge (the grammars of GOST R 50577, of another country); here they are
//! patterns of character sets. A reader without them holds every text possible.

use super::reading::Alphabet;

/// What not having one of the shapes costs a text, in nats: one thing in four hundred that the reader is shown is lettering
/// or a plate of another kind. A text that explains the picture better than that by far still wins, and so nothing is
/// admitted that looks like an admitted plate only because it must look like some plate.
const OTHER_SHAPE_NATS: f64 = 6.0;

/// Shapes that one set can hold.
pub const MAX_SHAPES: usize = 64;
/// Characters that a shape can have.
pub const MAX_SHAPE_CHARACTERS: usize = 16;

/// The shapes a plate can have: one set of characters for each position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shapes(Vec<Vec<String>>);

/// Why shapes cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShapesError {
    /// More than [`MAX_SHAPES`].
    #[error("there are {0} shapes of plates; at most {MAX_SHAPES} can be told apart")]
    TooMany(usize),
    /// No position, more than [`MAX_SHAPE_CHARACTERS`], or a position that no character can take.
    #[error("shape {} of the plates needs 1 to {MAX_SHAPE_CHARACTERS} positions with at least one character each", .0 + 1)]
    Malformed(usize),
}

impl Shapes {
    /// Every text is possible.
    pub fn any() -> Self {
        Self::default()
    }

    /// Exactly these shapes; with none of them, [`Shapes::any`]. Each is a list of positions, each position the characters
    /// that may stand there.
    pub fn new<S: Into<String>>(
        shapes: impl IntoIterator<Item = impl IntoIterator<Item = S>>,
    ) -> Result<Self, ShapesError> {
        let shapes: Vec<Vec<String>> =
            shapes.into_iter().map(|shape| shape.into_iter().map(Into::into).collect()).collect();
        if shapes.len() > MAX_SHAPES {
            return Err(ShapesError::TooMany(shapes.len()));
        }
        let malformed = |shape: &Vec<String>| {
            !(1..=MAX_SHAPE_CHARACTERS).contains(&shape.len()) || shape.iter().any(String::is_empty)
        };
        match shapes.iter().position(malformed) {
            Some(i) => Err(ShapesError::Malformed(i)),
            None => Ok(Self(shapes)),
        }
    }
}

/// Shapes over the classes of one reader: a machine whose state is the set of shapes still possible, one bit each.
#[derive(Debug, Clone)]
pub(crate) struct Automaton {
    classes: usize,
    /// For each position and class, the shapes that allow that class there; empty when every text is possible.
    allowing: Vec<u64>,
    /// For each length, the shapes of that length.
    ending: Vec<u64>,
}

impl Automaton {
    pub(crate) fn new(shapes: &Shapes, alphabet: &Alphabet) -> Self {
        let classes = alphabet.classes();
        let longest = shapes.0.iter().map(Vec::len).max().unwrap_or(0);
        let mut allowing = vec![0; longest * classes];
        let mut ending = vec![0; if longest == 0 { 0 } else { longest + 1 }];
        for (bit, shape) in shapes.0.iter().enumerate() {
            ending[shape.len()] |= 1 << bit;
            for (position, characters) in shape.iter().enumerate() {
                for class in characters.chars().filter_map(|c| alphabet.class_of(c)) {
                    allowing[position * classes + class] |= 1 << bit;
                }
            }
        }
        Self { classes, allowing, ending }
    }

    /// The state before the first character.
    pub(crate) const START: u64 = u64::MAX;

    /// The state after `class` at `position`; zero when no shape allows it.
    #[inline]
    pub(crate) fn step(&self, state: u64, position: usize, class: usize) -> u64 {
        if self.ending.is_empty() {
            return state;
        }
        state & self.allowing.get(position * self.classes + class).copied().unwrap_or(0)
    }

    /// Whether a text of `length` characters that led to `state` is whole.
    #[inline]
    pub(crate) fn ends(&self, state: u64, length: usize) -> bool {
        self.ending.is_empty() || state & self.ending.get(length).copied().unwrap_or(0) != 0
    }

    /// Whether `text` has one of the shapes.
    pub(crate) fn accepts(&self, text: &[usize]) -> bool {
        let state = text.iter().enumerate().fold(Self::START, |state, (i, class)| self.step(state, i, *class));
        self.ends(state, text.len())
    }
}

/// What a reader can spell, and which of that can be a plate.
#[derive(Debug)]
pub(crate) struct Lexicon {
    pub(crate) alphabet: Alphabet,
    pub(crate) shaped: Automaton,
    pub(crate) free: Automaton,
}

impl Lexicon {
    pub(crate) fn new(alphabet: Alphabet, shapes: &Shapes) -> Self {
        let [shaped, free] = [shapes, &Shapes::any()].map(|shapes| Automaton::new(shapes, &alphabet));
        Self { alphabet, shaped, free }
    }

    /// ln of the prior of a text, up to a constant: 0 for the shapes in use.
    pub(crate) fn log_prior(&self, classes: &[usize]) -> f64 {
        if self.shaped.accepts(classes) { 0.0 } else { -OTHER_SHAPE_NATS }
    }

    /// Whether there are texts outside the shapes.
    pub(crate) fn is_limited(&self) -> bool {
        !self.shaped.ending.is_empty()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const LETTER: &str = "ABEKMHOPCTYX";
    const DIGIT: &str = "0123456789";

    /// The car plates of GOST R 50577: a letter, three digits, two letters, a region of two or three digits.
    pub(crate) fn cars() -> Shapes {
        let number = [LETTER, DIGIT, DIGIT, DIGIT, LETTER, LETTER];
        Shapes::new([2, 3].map(|region| number.into_iter().chain(std::iter::repeat_n(DIGIT, region)))).unwrap()
    }

    fn accepts(shapes: &Shapes, text: &str) -> bool {
        let alphabet = Alphabet::new("0123456789ABEKMHOPCTYX", 22);
        let classes = alphabet.classes_of(text).unwrap();
        Automaton::new(shapes, &alphabet).accepts(&classes)
    }

    #[test]
    fn a_text_is_accepted_whole_or_not_at_all() {
        let cars = cars();
        for good in ["A123BC77", "O000OO777"] {
            assert!(accepts(&cars, good), "{good}");
        }
        for bad in ["A123BC7", "A123BC7777", "0123BC77", "AB12377", "", "A123BCX7"] {
            assert!(!accepts(&cars, bad), "{bad}");
        }
        assert!(accepts(&Shapes::any(), "") && accepts(&Shapes::any(), "7X7"));
    }

    #[test]
    fn characters_the_reader_does_not_know_are_never_read() {
        let shapes = Shapes::new([["Ж", "A"]]).unwrap();
        assert!(!accepts(&shapes, "AA"));
    }

    #[test]
    fn shapes_that_cannot_be_used_are_refused() {
        assert_eq!(Shapes::new([Vec::<&str>::new()]), Err(ShapesError::Malformed(0)));
        assert_eq!(Shapes::new([vec!["A"], vec!["A", ""]]), Err(ShapesError::Malformed(1)));
        assert_eq!(Shapes::new(vec![vec!["A"; 17]]), Err(ShapesError::Malformed(0)));
        assert_eq!(Shapes::new(vec![vec!["A"]; 65]), Err(ShapesError::TooMany(65)));
    }
}
