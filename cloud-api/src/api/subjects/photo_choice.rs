//! Which photo of an enrolment becomes the template, and what is wrong with the others.
//!
//! One template is kept of a call, of the best photo. Every further template of a person is a further chance that a
//! stranger is taken for them, and further biometrics to erase; photos taken on one occasion differ too little to be worth
//! that. Whoever looks different at times (glasses, a beard) is enrolled by a call for each look.
//!
//! The photos must show one person: each is compared with each. A photo that cannot be used is left out and reported.

use serde::Serialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::problem::{Problem, ProblemDetails};
use crate::recognition::{EnrolFailure, Enrolled, Enroller};

/// How good a photo was.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct PhotoQuality {
    /// Distance between the eyes, pixels of the photo.
    eye_distance_px: f32,
    /// How sure the detector is that this is a face, 0 to 1.
    detection_score: f32,
    /// How good the photo is to compare, 0 to 1: by the face's size and sharpness, and how frontally it is seen. It only ranks
    /// photos of one person.
    comparison_quality: f32,
}

/// What became of a photo.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PhotoReport {
    /// Which, in the order of the call: 1, 2, 3 …
    photo: usize,
    /// Whether its template was kept: of the best photo.
    kept: bool,
    /// How good it is to compare, 0 to 1; missing where it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison_quality: Option<f32>,
    /// Why it cannot be used: the end of the `type` of a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What to do about that, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

/// The photo that was chosen.
pub(super) struct Choice {
    pub(super) enrolled: Enrolled,
    pub(super) quality: PhotoQuality,
    pub(super) reports: Vec<PhotoReport>,
}

impl From<&Enrolled> for PhotoQuality {
    fn from(enrolled: &Enrolled) -> Self {
        Self {
            eye_distance_px: enrolled.eye_distance_px,
            detection_score: enrolled.detection_score,
            comparison_quality: enrolled.comparison_quality,
        }
    }
}

/// Looks at every photo. Blocks.
pub(super) fn choose(enroller: &dyn Enroller, photos: &[Zeroizing<Vec<u8>>]) -> Result<Choice, Problem> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (photo, bytes) in (1..).zip(photos) {
        match enroller.enrol(bytes) {
            Ok(enrolled) => good.push((photo, enrolled)),
            Err(failure @ (EnrolFailure::Unavailable | EnrolFailure::Inference(_))) => return Err(failure.into()),
            Err(failure) => match Problem::from(failure) {
                problem @ Problem::Internal => return Err(problem),
                problem => bad.push((photo, problem)),
            },
        }
    }
    require_one_person(&good)?;
    let best = (0..good.len()).max_by(|a, b| {
        // Of equals the first: the order in which they were sent says something too.
        let quality = |i: usize| good[i].1.comparison_quality;
        quality(*a).total_cmp(&quality(*b)).then(b.cmp(a))
    });
    let Some(best) = best else { return Err(no_good_one(bad)) };
    let mut reports: Vec<PhotoReport> = bad.iter().map(|(photo, problem)| refused(*photo, problem)).collect();
    reports.extend(good.iter().enumerate().map(|(i, (photo, enrolled))| PhotoReport {
        photo: *photo,
        kept: i == best,
        comparison_quality: Some(enrolled.comparison_quality),
        reason: None,
        advice: None,
    }));
    reports.sort_by_key(|report| report.photo);
    let (_, enrolled) = good.swap_remove(best);
    Ok(Choice { quality: (&enrolled).into(), enrolled, reports })
}

fn refused(photo: usize, problem: &Problem) -> PhotoReport {
    let details = ProblemDetails::from(problem);
    let reason = details.r#type.strip_prefix("/problems/").map(str::to_owned);
    PhotoReport { photo, kept: false, comparison_quality: None, reason, advice: Some(details.detail) }
}

/// A single photo is told by its own problem.
fn no_good_one(mut bad: Vec<(usize, Problem)>) -> Problem {
    if bad.len() == 1 {
        return bad.remove(0).1;
    }
    let each: Vec<String> = bad.iter().map(|(photo, problem)| format!("photo {photo}: {problem}")).collect();
    Problem::NoUsablePhoto(each.join("; "))
}

fn require_one_person(good: &[(usize, Enrolled)]) -> Result<(), Problem> {
    for (i, (first, one)) in good.iter().enumerate() {
        for (second, other) in &good[i + 1..] {
            let score = one.template.compare(&other.template).map_err(|error| Problem::internal(&error))?;
            if score < one.same_person_cosine {
                return Err(Problem::PhotosDiffer { first: *first, second: *second });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::faces::{ANOTHER_FACE, BETTER_PHOTO, FACE_PHOTO, FakeEnroller};

    fn chosen(photos: &[&[u8]]) -> Result<Choice, Problem> {
        let photos: Vec<_> = photos.iter().map(|photo| Zeroizing::new(photo.to_vec())).collect();
        choose(&FakeEnroller, &photos)
    }

    #[test]
    fn the_best_photo_is_kept_and_the_others_are_told_why_not() {
        let choice = chosen(&[b"no face", FACE_PHOTO, BETTER_PHOTO, FACE_PHOTO, b"%PDF-1.7"]).unwrap();
        let kept: Vec<_> = choice.reports.iter().map(|report| (report.photo, report.kept)).collect();
        assert_eq!(kept, [(1, false), (2, false), (3, true), (4, false), (5, false)]);
        let reasons: Vec<_> = choice.reports.iter().map(|report| report.reason.as_deref()).collect();
        assert_eq!(reasons, [Some("no-face"), None, None, None, Some("not-an-image")]);
        assert!(choice.reports.iter().all(|report| report.comparison_quality.is_some() == report.advice.is_none()));
        assert_eq!(choice.enrolled.comparison_quality, choice.quality.comparison_quality);
    }

    #[test]
    fn of_equal_photos_the_first_is_kept() {
        let choice = chosen(&[FACE_PHOTO, FACE_PHOTO]).unwrap();
        assert!(choice.reports[0].kept && !choice.reports[1].kept);
    }

    #[test]
    fn photos_of_two_people_are_refused_wherever_they_stand() {
        for (photos, differing) in [
            (&[FACE_PHOTO, ANOTHER_FACE][..], (1, 2)),
            (&[FACE_PHOTO, BETTER_PHOTO, ANOTHER_FACE], (1, 3)),
            (&[b"no face", ANOTHER_FACE, FACE_PHOTO], (2, 3)),
        ] {
            let Err(Problem::PhotosDiffer { first, second }) = chosen(photos) else {
                panic!("they were taken for one")
            };
            assert_eq!((first, second), differing);
        }
    }

    #[test]
    fn where_none_can_be_used_each_is_told_why() {
        assert!(matches!(chosen(&[b"no face"]), Err(Problem::NoFace)));
        let Err(Problem::NoUsablePhoto(each)) = chosen(&[b"no face", b"two faces"]) else { panic!("one was kept") };
        assert!(each.contains("photo 1: no face") && each.contains("photo 2: more than one face"), "{each}");
    }
}
