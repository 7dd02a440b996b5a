//! 1:N comparison: which enrolled person, if any, is this?
//!
//! Exact search over all templates. At a controller's scale (up to some 10,000) that is under a millisecond, and an
//! erased template is gone by overwriting its row, with no index to rebuild.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroize;

use super::template::{Template, TemplateError, dot};

/// Enrolled templates of one model, by the caller's ids. An id may have several templates.
pub struct Gallery<Id> {
    model: Arc<str>,
    ids: Vec<Id>,
    /// Rows of `dimensions` values, followed by zeros; grown by hand, so that outgrown memory is overwritten.
    rows: Vec<f32>,
    dimensions: usize,
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
        Self { model: model.into(), ids: Vec::new(), rows: Vec::new(), dimensions: 0 }
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
        } else if self.dimensions != vector.len() {
            return Err(TemplateError::Malformed);
        }
        let used = self.ids.len() * self.dimensions;
        if used + vector.len() > self.rows.len() {
            let mut larger = vec![0.0; (2 * used).max(64 * vector.len())];
            larger[..used].copy_from_slice(&self.rows[..used]);
            std::mem::replace(&mut self.rows, larger).zeroize();
        }
        self.rows[used..used + vector.len()].copy_from_slice(vector);
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
        self.rows.zeroize();
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
        for (i, (row, id)) in self.rows.chunks_exact(self.dimensions).zip(&self.ids).enumerate() {
            let found = dot(row, probe.vector());
            let same = *id == self.ids[best];
            if found > score {
                if !same && score > f32::NEG_INFINITY {
                    runner_up = Some(score);
                }
                (best, score) = (i, found);
            } else if !same && runner_up.is_none_or(|second| found > second) {
                runner_up = Some(found);
            }
        }
        Ok(Some(Match { id: self.ids[best].clone(), score_cosine: score, runner_up_cosine: runner_up }))
    }

    fn remove_row(&mut self, i: usize) {
        let last = self.ids.len() - 1;
        let width = self.dimensions;
        self.rows.copy_within(last * width..(last + 1) * width, i * width);
        self.rows[last * width..(last + 1) * width].zeroize();
        self.ids.swap_remove(i);
    }
}

impl<Id> fmt::Debug for Gallery<Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gallery({}, {} templates, …)", self.model, self.ids.len())
    }
}

impl<Id> Drop for Gallery<Id> {
    fn drop(&mut self) {
        self.rows.zeroize();
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

    proptest! {
        #[test]
        fn search_finds_what_brute_force_finds(
            people in proptest::collection::vec((0_u8..12, proptest::array::uniform17(-1.0_f32..1.0)), 0..80),
            gone in proptest::collection::vec(0_u8..12, 0..4),
            probe in proptest::array::uniform17(-1.0_f32..1.0),
        ) {
            let mut people: Vec<(u8, Template)> = people.into_iter().map(|(id, v)| (id, template(&v))).collect();
            let probe = template(&probe);
            let mut gallery = Gallery::new("e");
            for (id, reference) in &people {
                gallery.add(*id, reference).unwrap();
            }
            for id in &gone {
                let held = people.iter().filter(|(known, _)| known == id).count();
                prop_assert_eq!(gallery.remove(id), held);
                people.retain(|(known, _)| known != id);
            }
            prop_assert_eq!(gallery.len(), people.len());
            let found = gallery.search(&probe).unwrap();
            prop_assert_eq!(found.as_ref().map(|m| (m.score_cosine, m.runner_up_cosine)), plainly(&people, &probe));
            if let Some(found) = found {
                prop_assert!(people.iter().any(|(id, t)| *id == found.id && t.compare(&probe).unwrap() == found.score_cosine));
            }
        }
    }

    #[test]
    fn a_removed_template_is_overwritten() {
        let mut gallery = Gallery::new("e");
        for id in 0..100 {
            let mut values = [0.1; 16];
            values[id % 16] = 1.0 + id as f32;
            gallery.add(id, &template(&values)).unwrap();
        }
        let erased = gallery.rows[40 * 16..41 * 16].to_vec();
        assert_eq!(gallery.remove(&40), 1);
        assert!(gallery.rows.chunks_exact(16).all(|row| row != erased));
        assert!(gallery.rows[99 * 16..].iter().all(|v| *v == 0.0));
        gallery.clear();
        assert!(gallery.is_empty() && gallery.rows.is_empty());
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
