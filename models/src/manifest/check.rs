//! What must hold between the values of a manifest before anything is loaded.

use super::{
    Aspect, Column, Decode, ElementType, Fitness, Input, LiveClass, Manifest, ManifestError, ModelSpec, RetinaFace,
    Role, Slots, Yolo, YoloForm,
};

/// Longest side of an input, in pixels.
const MAX_SIDE: usize = 4096;
const MAX_CHARACTERS: usize = 200;
/// No plate has more characters.
const MAX_SLOTS: usize = 32;
/// More models than this for one score gain nothing.
const MAX_PAD_MODELS: usize = 4;

impl Manifest {
    pub(super) fn check(&self) -> Result<(), ManifestError> {
        let duplicate = |what: String| Err(ManifestError::Duplicate { what });
        for (i, model) in self.models.iter().enumerate() {
            let refused = |problem| ManifestError::Model { model: model.id.clone(), problem };
            model.check().map_err(refused)?;
            for earlier in &self.models[..i] {
                if earlier.role == model.role && model.role != Role::Pad {
                    return duplicate(format!("role {}", model.role));
                }
                if earlier.id == model.id {
                    return duplicate(format!("id {}", model.id));
                }
                if earlier.role == model.role && earlier.threshold.value != model.threshold.value {
                    return Err(refused(
                        "the live probabilities of all `pad` models are averaged: give each the same `threshold.value`"
                            .into(),
                    ));
                }
            }
            if self.models_for(Role::Pad).count() > MAX_PAD_MODELS {
                return Err(refused(format!("a pack has at most {MAX_PAD_MODELS} `pad` models")));
            }
        }
        Ok(())
    }
}

impl ModelSpec {
    fn check(&self) -> Result<(), String> {
        if self.id.is_empty() || self.id.len() > 64 || !self.id.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("`id` must be 1 to 64 printable ASCII characters without spaces".into());
        }
        if self.file.is_empty() || self.file.contains(['/', '\\', '\0']) || self.file.starts_with('.') {
            return Err("`file` must be a plain file name inside the pack's folder".into());
        }
        if self.sha256.len() != 64 || !self.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("`sha256` must be 64 hexadecimal digits".into());
        }
        if !self.threshold.value.is_finite() {
            return Err("`threshold.value` must be a finite number".into());
        }
        if self.threshold.false_match_rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
            return Err("`threshold.false_match_rate` must lie between 0 and 1".into());
        }
        if self.fitness == Fitness::Production && self.threshold.evaluation.as_ref().is_none_or(String::is_empty) {
            return Err(
                "`fitness = \"production\"` needs `threshold.evaluation`: the measurement that earned it".into()
            );
        }
        self.input.check()?;
        if self.input.aspect != Aspect::Stretch && self.role != Role::PlateReader {
            return Err("`input.aspect` is for a plate-reader: detectors always keep proportions".into());
        }
        if self.input.aspect == Aspect::Keep && self.decode.reads_two_lines() {
            return Err("a reader of two lines side by side takes them stretched: leave `input.aspect` out".into());
        }
        self.check_decode()
    }

    fn check_decode(&self) -> Result<(), String> {
        match (&self.decode, self.role) {
            (
                Decode::CentrePoints { stride, point_scale, points, second_look, .. },
                Role::FaceDetector | Role::PlateDetector,
            ) => {
                let wanted = if self.role == Role::FaceDetector { 5 } else { 4 };
                if *points != wanted {
                    return Err(format!("`decode.points` must be {wanted} for a {}", self.role));
                }
                if *stride == 0 || !point_scale.is_normal() || *point_scale < 0.0 {
                    return Err("`decode.stride` and `decode.point_scale` must be positive".into());
                }
                if *second_look && (self.role != Role::PlateDetector || self.input.size.is_some()) {
                    return Err("`decode.second_look` is for a plate-detector of dynamic size".into());
                }
                self.check_sides(*stride)?;
                self.check_probability()
            }
            (Decode::Yunet {} | Decode::Scrfd {}, Role::FaceDetector) => {
                self.check_sides(32)?;
                self.check_probability()
            }
            (Decode::RetinaFace(decode), Role::FaceDetector) => {
                decode.check()?;
                self.check_probability()
            }
            (Decode::Yolo(decode), Role::FaceDetector | Role::PlateDetector) => {
                decode.check(self.role)?;
                self.check_probability()
            }
            (Decode::Embedding { template }, Role::FaceEmbedder) => {
                if !template.iter().flatten().all(|v| v.is_finite()) {
                    return Err("`decode.template` must be finite numbers".into());
                }
                self.check_fixed_size()
            }
            (Decode::LiveClass(decode), Role::Pad) => {
                decode.check()?;
                self.check_fixed_size()?;
                self.check_probability()
            }
            (Decode::Ctc { alphabet, blank, .. }, Role::PlateReader) => {
                check_alphabet(alphabet)?;
                if *blank > alphabet.chars().count() {
                    return Err("`decode.blank` must be an index into `decode.alphabet` or its end".into());
                }
                self.check_fixed_size()
            }
            (Decode::Slots(decode), Role::PlateReader) => {
                decode.check()?;
                self.check_fixed_size()
            }
            (decode, role) => Err(format!("decode kind {} does not serve a {role}", decode.kind())),
        }
    }

    fn check_fixed_size(&self) -> Result<(), String> {
        if self.input.size.is_none() {
            return Err(format!("a {} needs a fixed `input.size`", self.role));
        }
        Ok(())
    }

    fn check_sides(&self, multiple: usize) -> Result<(), String> {
        if !self.input.divisor().is_multiple_of(multiple) {
            return Err(format!(
                "the input's sides must be multiples of {multiple}, the stride of {}",
                self.decode.kind()
            ));
        }
        Ok(())
    }

    fn check_probability(&self) -> Result<(), String> {
        if self.threshold.value <= 0.0 || self.threshold.value >= 1.0 {
            return Err(format!("the `threshold.value` of a {} must lie between 0 and 1", self.role));
        }
        Ok(())
    }
}

impl Input {
    fn check(&self) -> Result<(), String> {
        let planes = self.channels.count();
        if self.mean.len() != planes || self.std.len() != planes {
            return Err(format!("`input.mean` and `input.std` need {planes} values each"));
        }
        if self.dtype == ElementType::U8 && (self.mean.iter().any(|v| *v != 0.0) || self.std.iter().any(|v| *v != 1.0))
        {
            return Err("`input.dtype = \"u8\"` feeds values as they are: leave `mean` and `std` out".into());
        }
        if !self.mean.iter().all(|v| v.is_finite()) || !self.std.iter().all(|v| v.is_normal()) {
            return Err("`input.mean` must be finite and `input.std` finite and not zero".into());
        }
        match (self.size, self.multiple_of, self.max_side) {
            (Some([h, w]), None, None) if (1..=MAX_SIDE).contains(&h) && (1..=MAX_SIDE).contains(&w) => Ok(()),
            (None, Some(m), Some(side)) if m > 0 && (m..=MAX_SIDE).contains(&side) && side % m == 0 => Ok(()),
            (Some(_), None, None) | (None, Some(_), Some(_)) => {
                Err(format!("input sides must be 1 to {MAX_SIDE} pixels, and `max_side` a multiple of `multiple_of`"))
            }
            _ => Err("give either `input.size` or both `input.multiple_of` and `input.max_side`".into()),
        }
    }
}

impl RetinaFace {
    fn check(&self) -> Result<(), String> {
        let maps = self.steps.len();
        if !(1..=8).contains(&maps)
            || self.min_sizes.len() != maps
            || self.steps.iter().any(|s| !(1..=MAX_SIDE).contains(s))
        {
            return Err("`decode.steps` must be 1 to 8 positive numbers and `decode.min_sizes` a list for each".into());
        }
        let positive = |v: &f32| v.is_normal() && *v > 0.0;
        if self.min_sizes.iter().any(|sizes| sizes.is_empty() || sizes.len() > 8 || !sizes.iter().all(positive)) {
            return Err("each of `decode.min_sizes` must be 1 to 8 positive numbers".into());
        }
        if !self.variances.iter().all(positive) {
            return Err("`decode.variances` must be two positive numbers".into());
        }
        Ok(())
    }
}

impl Yolo {
    fn check(&self, role: Role) -> Result<(), String> {
        let points_fit = match role {
            Role::FaceDetector => self.points == 5,
            _ => matches!(self.points, 0 | 4),
        };
        if !points_fit {
            return Err(
                "`decode.points` must be 0 or 4 (corners) for a plate-detector, 5 (landmarks) for a face-detector"
                    .into(),
            );
        }
        if !matches!(self.point_values, 2 | 3) {
            return Err("`decode.point_values` must be 2 (x, y) or 3 (x, y, visibility)".into());
        }
        if !(1..=1000).contains(&self.classes) {
            return Err("`decode.classes` must be 1 to 1000".into());
        }
        match self.form {
            YoloForm::Raw if self.class.is_some_and(|class| class >= self.classes) => {
                return Err("`decode.class` must be less than `decode.classes`".into());
            }
            YoloForm::EndToEnd => {
                let count = |column| self.row.iter().filter(|c| **c == column).count();
                let needed = [Column::X1, Column::Y1, Column::X2, Column::Y2, Column::Score];
                if needed.into_iter().any(|c| count(c) != 1) || count(Column::Batch) > 1 || count(Column::Class) > 1 {
                    return Err(
                        "`decode.row` must name x1, y1, x2, y2 and score once, and batch and class at most once".into(),
                    );
                }
                if self.class.is_some() && count(Column::Class) == 0 {
                    return Err("`decode.class` needs a class column in `decode.row`".into());
                }
            }
            YoloForm::Raw => {}
        }
        Ok(())
    }
}

impl LiveClass {
    fn check(&self) -> Result<(), String> {
        if !(2..=64).contains(&self.classes) || self.live >= self.classes {
            return Err("`decode.classes` must be 2 to 64 and `decode.live` less than it".into());
        }
        if !(0.5..=10.0).contains(&self.crop_scale) {
            return Err("`decode.crop_scale` must lie between 0.5 and 10".into());
        }
        Ok(())
    }
}

impl Slots {
    fn check(&self) -> Result<(), String> {
        check_alphabet(&self.alphabet)?;
        let others = self.pad_and_characters().map_or(0, |(_, characters)| characters.chars().count());
        if others == 0 {
            return Err("`decode.alphabet` must contain `decode.pad` and at least one other character".into());
        }
        if !(1..=MAX_SLOTS).contains(&self.slots) {
            return Err(format!("`decode.slots` must be 1 to {MAX_SLOTS}"));
        }
        Ok(())
    }
}

fn check_alphabet(alphabet: &str) -> Result<(), String> {
    let classes: Vec<char> = alphabet.chars().collect();
    let repeated = classes.iter().enumerate().any(|(i, c)| classes[..i].contains(c));
    let unfit = classes.iter().any(|c| c.is_whitespace() || c.is_control());
    if classes.is_empty() || classes.len() > MAX_CHARACTERS || repeated || unfit {
        return Err(format!("`decode.alphabet` must be 1 to {MAX_CHARACTERS} distinct characters without spaces"));
    }
    Ok(())
}
