//! 1:N comparison: which enrolled person, if any, is this?
//!
//! Exact search over all templates, first by their 8-bit codes (`codes`), then in `f32` for the few rows that the codes
//! leave open; the result is that of comparing every row in `f32`. There is no index to rebuild, and an erased template
//! is gone by overwriting its rows. A template of 512 values takes 2.5 kB: four bytes a value to compare exactly, and one
//! to scan.

use std::fmt;
use std::sync::Arc;

use super::codes::{Codes, ProbeCode};
use super::rows::Rows;
use super::template::{Template, TemplateError, dot};

/// Enrolled templates of one model, by the caller's ids. An id may have several templates.
pub struct Gallery<Id> {
    model: Arc<str>,
    ids: Vec<Id>,
    dimensions: usize,
    rows: Rows<f32>,
    codes: Codes,
}

/// The most similar enrolled person.
#[derive(Debug, Clone, PartialEq)]
pub struct Match<Id> {
    /// Who.
    pub id: Id,
    /// Cosine with that person's most similar template.
    pub score_cosine: f32,
    /// Cosine with the most similar template of anybody else, if there is anybody else.
    pub runner_up_cosine: Option<f32>,
}

impl<Id: Clone + PartialEq> Gallery<Id> {
    /// An empty gallery for templates of `model`.
    pub fn new(model: &str) -> Self {
        Self { model: model.into(), ids: Vec::new(), dimensions: 0, rows: Rows::new(0), codes: Codes::new(0) }
    }

    /// Id of the model whose templates it takes.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Number of templates.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether nobody is enrolled.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Adds a template of `id`. A template of another model or dimension is refused.
    pub fn add(&mut self, id: Id, template: &Template) -> Result<(), TemplateError> {
        template.require_model(&self.model)?;
        let vector = template.vector();
        if self.ids.is_empty() {
            self.dimensions = vector.len();
            self.rows = Rows::new(vector.len());
            self.codes = Codes::new(vector.len());
        } else if self.dimensions != vector.len() {
            return Err(TemplateError::Malformed);
        }
        self.rows.push(vector);
        self.codes.push(vector);
        self.ids.push(id);
        Ok(())
    }

    /// Removes and overwrites every template of `id`; returns how many there were.
    pub fn remove(&mut self, id: &Id) -> usize {
        let before = self.ids.len();
        let mut i = 0;
        while i < self.ids.len() {
            if self.ids[i] == *id {
                self.remove_row(i);
            } else {
                i += 1;
            }
        }
        before - self.ids.len()
    }

    /// Removes and overwrites everything.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.rows = Rows::new(0);
        self.codes = Codes::new(0);
    }

    /// Who is most similar to `probe`. `Ok(None)` when nobody is enrolled. The caller compares the score with the
    /// embedder's threshold.
    pub fn search(&self, probe: &Template) -> Result<Option<Match<Id>>, TemplateError> {
        probe.require_model(&self.model)?;
        if self.ids.is_empty() {
            return Ok(None);
        }
        if probe.vector().len() != self.dimensions {
            return Err(TemplateError::Malformed);
        }
        let (mut best, mut score) = (0, f32::NEG_INFINITY);
        let mut runner_up: Option<f32> = None;
        self.codes.scan(&ProbeCode::new(probe.vector()), |i| {
            let found = dot(self.rows.row(i), probe.vector());
            let same = self.ids[i] == self.ids[best];
            if found > score {
                if !same && score > f32::NEG_INFINITY {
                    runner_up = Some(score);
                }
                (best, score) = (i, found);
            } else if !same && runner_up.is_none_or(|second| found > second) {
                runner_up = Some(found);
            }
            // a row below the second person changes neither the first nor the second
            runner_up.unwrap_or(f32::NEG_INFINITY)
        });
        Ok(Some(Match { id: self.ids[best].clone(), score_cosine: score, runner_up_cosine: runner_up }))
    }

    fn remove_row(&mut self, i: usize) {
        self.rows.swap_remove(i);
        self.codes.swap_remove(i);
        self.ids.swap_remove(i);
    }
}

impl<Id> fmt::Debug for Gallery<Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gallery({}, {} templates, …)", self.model, self.ids.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;

    fn template(values: &[f32]) -> Template {
        Template::normalised("e".into(), Zeroizing::new(values.to_vec())).unwrap()
    }

    /// The specification in the plainest words: per person the best score, then the best and second-best person.
    fn plainly(people: &[(u8, Template)], probe: &Template) -> Option<(f32, Option<f32>)> {
        let mut scores: Vec<(u8, f32)> = Vec::new();
        for (id, reference) in people {
            let score = reference.compare(probe).unwrap();
            match scores.iter_mut().find(|(known, _)| known == id) {
                Some((_, best)) => *best = best.max(score),
                None => scores.push((*id, score)),
            }
        }
        scores.sort_by(|a, b| b.1.total_cmp(&a.1));
        scores.first().map(|best| (best.1, scores.get(1).map(|second| second.1)))
    }

    fn gallery(people: &[(u8, Template)]) -> Gallery<u8> {
        let mut gallery = Gallery::new("e");
        for (id, reference) in people {
            gallery.add(*id, reference).unwrap();
        }
        gallery
    }

    /// Whether the search says what comparing everybody in `f32` says.
    fn agrees(gallery: &Gallery<u8>, people: &[(u8, Template)], probe: &Template) -> Result<(), TestCaseError> {
        let found = gallery.search(probe).unwrap();
        prop_assert_eq!(found.as_ref().map(|m| (m.score_cosine, m.runner_up_cosine)), plainly(people, probe));
        if let Some(found) = found {
            let is_best = |(id, t): &(u8, Template)| *id == found.id && t.compare(probe).unwrap() == found.score_cosine;
            prop_assert!(people.iter().any(is_best));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn search_finds_what_brute_force_finds(
            people in proptest::collection::vec((0_u8..12, proptest::array::uniform17(-1.0_f32..1.0)), 0..80),
            gone in proptest::collection::vec(0_u8..12, 0..4),
            probe in proptest::array::uniform17(-1.0_f32..1.0),
        ) {
            let mut people: Vec<(u8, Template)> = people.into_iter().map(|(id, v)| (id, template(&v))).collect();
            let probe = template(&probe);
            let mut gallery = gallery(&people);
            for id in &gone {
                let held = people.iter().filter(|(known, _)| known == id).count();
                prop_assert_eq!(gallery.remove(id), held);
                people.retain(|(known, _)| known != id);
            }
            prop_assert_eq!(gallery.len(), people.len());
            agrees(&gallery, &people, &probe)?;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn people_who_differ_by_less_than_a_code_are_told_apart(
            seed in any::<u64>(),
            dimensions in 100_usize..520,
            apart in prop_oneof![Just(0.0_f32), Just(1e-6), Just(1e-4), Just(1e-2), Just(0.5)],
        ) {
            // everybody is one vector and a little noise, several templates each; the probe lies among them
            let mut state = seed | 1;
            let mut next = move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / 8_388_608.0 - 1.0
            };
            let centre: Vec<f32> = (0..dimensions).map(|_| next()).collect();
            let mut near = || template(&centre.iter().map(|v| v + apart * next()).collect::<Vec<f32>>());
            let people: Vec<(u8, Template)> = (0..300_u32).map(|i| ((i % 90) as u8, near())).collect();
            let gallery = gallery(&people);
            agrees(&gallery, &people, &near())?;
            agrees(&gallery, &people, &people[170].1)?;
        }
    }

    #[test]
    fn codes_leave_few_rows_to_compare_exactly() {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        let mut codes = Codes::new(512);
        let mut vector = || template(&(0..512).map(|_| next()).collect::<Vec<f32>>());
        let people: Vec<Template> = (0..4_000).map(|_| vector()).collect();
        for person in &people {
            codes.push(person.vector());
        }
        let probe = vector();
        let mut compared = 0;
        let mut best = f32::NEG_INFINITY;
        codes.scan(&ProbeCode::new(probe.vector()), |i| {
            compared += 1;
            best = best.max(dot(people[i].vector(), probe.vector()));
            best
        });
        assert!(compared < 80, "{compared} of 4,000 rows were compared exactly");
    }

    #[test]
    fn a_removed_template_is_overwritten() {
        let mut gallery = Gallery::new("e");
        for id in 0..100 {
            let mut values = [0.1; 16];
            values[id % 16] = 1.0 + id as f32;
            gallery.add(id, &template(&values)).unwrap();
        }
        // that its memory holds zeros then is for the tests of `rows`
        let erased = gallery.rows.row(40).to_vec();
        assert_eq!(gallery.remove(&40), 1);
        assert!(gallery.rows.all().chunks_exact(16).all(|row| row != erased));
        gallery.clear();
        assert!(gallery.is_empty() && gallery.rows.all().is_empty());
        assert_eq!(gallery.search(&template(&[1.0; 16])).unwrap(), None);
        gallery.add(7, &template(&[1.0; 24])).unwrap();
        assert_eq!(gallery.len(), 1);
    }

    #[test]
    fn templates_of_another_model_or_size_are_refused() {
        let mut gallery = Gallery::new("other");
        assert!(matches!(gallery.add(1, &template(&[1.0; 16])), Err(TemplateError::ForeignModel { .. })));
        assert!(matches!(gallery.search(&template(&[1.0; 16])), Err(TemplateError::ForeignModel { .. })));
        let mut gallery = Gallery::new("e");
        gallery.add(1, &template(&[1.0; 16])).unwrap();
        assert_eq!(gallery.add(2, &template(&[1.0; 24])), Err(TemplateError::Malformed));
        assert_eq!(gallery.search(&template(&[1.0; 24])), Err(TemplateError::Malformed));
    }
}
