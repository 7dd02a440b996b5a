#![allow(clippy::unwrap_used, reason = "tests")]
use proptest::prelude::*;

use super::*;

const HEADER: &str = "[pack]\nname = \"test\"\nversion = \"0.1.0\"\nlicence = \"MIT\"\n";

/// One model's entry; every part can be spoilt by a test.
#[derive(Clone)]
struct Entry {
    id: &'static str,
    role: &'static str,
    top: &'static str,
    input: &'static str,
    decode: &'static str,
    threshold: &'static str,
}

const BGR: &str = "channels = \"bgr\"\nmean = [0.0, 0.0, 0.0]\nstd = [1.0, 1.0, 1.0]\n";

impl Entry {
    const fn new(role: &'static str, input: &'static str, decode: &'static str) -> Self {
        Self { id: "model-1", role, top: "fitness = \"demo\"", input, decode, threshold: "value = 0.35" }
    }

    fn text(&self) -> String {
        format!(
            "[[model]]\nid = \"{}\"\nrole = \"{}\"\nfile = \"{}.onnx\"\nsha256 = \"{}\"\nlicence = \"MIT\"\nsource = \"here\"\n{}\n\
             [model.input]\n{BGR}{}\n[model.decode]\n{}\n[model.threshold]\nmeaning = \"test\"\n{}\n",
            self.id,
            self.role,
            self.id,
            "00".repeat(32),
            self.top,
            self.input,
            self.decode,
            self.threshold
        )
    }
}

const DYNAMIC: &str = "multiple_of = 32\nmax_side = 640";
const CENTRE_POINTS: Entry =
    Entry::new("plate-detector", DYNAMIC, "kind = \"centre-points\"\nstride = 8\npoint_scale = 32.0\npoints = 4");
const SCRFD: Entry = Entry::new("face-detector", DYNAMIC, "kind = \"scrfd\"");
const RETINA: Entry = Entry::new("face-detector", DYNAMIC, "kind = \"retina-face\"\nsoftmax = true");
const YOLO_ROWS: Entry = Entry::new("plate-detector", "size = [384, 384]", "kind = \"yolo\"\nform = \"end-to-end\"");
const YOLO_RAW: Entry = Entry::new(
    "plate-detector",
    "size = [640, 640]",
    "kind = \"yolo\"\nform = \"raw\"\nclasses = 2\nclass = 1\npoints = 4",
);
const LIVE: Entry = Entry::new(
    "pad",
    "size = [80, 80]",
    "kind = \"live-class\"\nclasses = 3\nlive = 1\ncrop_scale = 2.7\nsoftmax = true",
);
const CTC: Entry = Entry::new(
    "plate-reader",
    "size = [32, 128]",
    "kind = \"ctc\"\nalphabet = \"0123ABC\"\nblank = 7\ntwo_line = true",
);
const SLOTS: Entry = Entry::new(
    "plate-reader",
    "size = [64, 128]",
    "kind = \"slots\"\nalphabet = \"0123ABC_\"\nslots = 9\nsoftmax = true",
);

fn parse(entries: &[Entry]) -> Result<Manifest, ManifestError> {
    Manifest::parse(&(HEADER.to_owned() + &entries.iter().map(Entry::text).collect::<String>()))
}

/// What is said when `from` is replaced by `to` in the manifest of `entry`.
fn problem(entry: &Entry, from: &str, to: &str) -> String {
    let text = HEADER.to_owned() + &entry.text();
    assert!(text.contains(from), "{from} is not in the sample");
    match Manifest::parse(&text.replacen(from, to, 1)).unwrap_err() {
        ManifestError::Format(source) => source.to_string(),
        other => other.to_string(),
    }
}

#[test]
fn a_good_manifest_is_understood() {
    let manifest = parse(&[CENTRE_POINTS]).unwrap();
    let model = &manifest.models[0];
    assert_eq!((model.role, model.id.as_str(), model.fitness), (Role::PlateDetector, "model-1", Fitness::Demo));
    assert!(
        matches!(&model.decode, Decode::CentrePoints { points: 4, points_output, .. } if points_output == "points")
    );
    assert_eq!((model.input.layout, model.input.dtype), (Layout::Nchw, ElementType::F32));
    assert_eq!(model.threshold.false_match_rate, None);
}

#[test]
fn every_kind_is_understood() {
    for entry in [CENTRE_POINTS, SCRFD, RETINA, YOLO_ROWS, YOLO_RAW, LIVE, CTC, SLOTS] {
        let manifest = parse(std::slice::from_ref(&entry)).unwrap_or_else(|e| panic!("{}: {e:?}", entry.decode));
        assert!(entry.decode.contains(&format!("kind = \"{}\"", manifest.models[0].decode.kind())));
    }
    let Decode::Yolo(rows) = &parse(&[YOLO_ROWS]).unwrap().models[0].decode.clone() else { panic!() };
    assert_eq!((rows.row.len(), rows.points, rows.classes, rows.class), (7, 0, 1, None));
    let Decode::RetinaFace(retina) = &parse(&[RETINA]).unwrap().models[0].decode.clone() else { panic!() };
    assert_eq!((retina.steps.as_slice(), retina.variances), (&[8, 16, 32][..], [0.1, 0.2]));
    let Decode::Slots(slots) = &parse(&[SLOTS]).unwrap().models[0].decode.clone() else { panic!() };
    assert_eq!(slots.pad_and_characters(), Some((7, "0123ABC".into())));
}

#[test]
fn raw_values_need_no_normalisation_and_allow_none() {
    let text = HEADER.to_owned() + &SLOTS.text();
    let raw = text.replace("mean = [0.0, 0.0, 0.0]\nstd = [1.0, 1.0, 1.0]\n", "dtype = \"u8\"\nlayout = \"nhwc\"\n");
    let input = &Manifest::parse(&raw).unwrap().models[0].input.clone();
    assert_eq!((input.mean.as_slice(), input.std.as_slice()), (&[0.0; 3][..], &[1.0; 3][..]));
    assert_eq!(input.shape([64, 128]), [1, 64, 128, 3]);
    assert!(
        problem(&SLOTS, "mean = [0.0, 0.0, 0.0]", "dtype = \"u8\"\nmean = [1.0, 0.0, 0.0]").contains("as they are")
    );
    assert!(problem(&SLOTS, "mean = [0.0, 0.0, 0.0]\n", "").contains("3 values"));
}

#[test]
fn unknown_keys_are_refused_at_every_level() {
    assert!(problem(&CENTRE_POINTS, "name = \"test\"", "name = \"test\"\ncolour = 1").contains("colour"));
    assert!(problem(&CENTRE_POINTS, "source = \"here\"", "source = \"here\"\nurl = 1").contains("url"));
    assert!(problem(&CENTRE_POINTS, "value = 0.35", "value = 0.35\nfmr = 0.1").contains("fmr"));
    for entry in [CENTRE_POINTS, SCRFD, RETINA, YOLO_ROWS, LIVE, CTC, SLOTS] {
        assert!(problem(&entry, "channels", "scale = 2\nchannels").contains("scale"));
        assert!(problem(&entry, "kind", "strde = 8\nkind").contains("strde"), "{}", entry.decode);
    }
}

#[test]
fn fitness_is_required_and_earned() {
    assert!(problem(&LIVE, "fitness = \"demo\"", "").contains("fitness"));
    assert!(problem(&LIVE, "\"demo\"", "\"good\"").contains("production"));
    assert!(problem(&LIVE, "\"demo\"", "\"production\"").contains("threshold.evaluation"));
    assert!(problem(&LIVE, "\"demo\"", "\"production\"").contains("model-1"));
    let earned = Entry { top: "fitness = \"production\"", threshold: "value = 0.35\nevaluation = \"card.md\"", ..LIVE };
    assert_eq!(parse(&[earned]).unwrap().models[0].fitness, Fitness::Production);
}

#[test]
fn impossible_values_are_named() {
    let plate = |from, to| problem(&CENTRE_POINTS, from, to);
    assert!(plate("file = \"model-1.onnx\"", "file = \"../d.onnx\"").contains("plain file name"));
    assert!(plate("sha256 = \"00", "sha256 = \"zz").contains("64 hexadecimal"));
    assert!(plate("mean = [0.0, 0.0, 0.0]", "mean = [1.0]").contains("3 values"));
    assert!(plate("std = [1.0, 1.0, 1.0]", "std = [0.0, 1.0, 1.0]").contains("not zero"));
    assert!(plate("max_side = 640", "max_side = 650").contains("multiple of `multiple_of`"));
    assert!(plate("max_side = 640", "size = [32, 32]").contains("either `input.size`"));
    assert!(plate("max_side = 640", "max_side = 640\naspect = \"keep\"").contains("plate-reader"));
    assert!(plate("points = 4", "points = 5").contains("must be 4"));
    assert!(plate("stride = 8", "stride = 24").contains("multiples of 24"));
    assert!(plate("value = 0.35", "value = 1.5").contains("between 0 and 1"));
    assert!(plate("value = 0.35", "value = nan").contains("finite"));
    assert!(plate("role = \"plate-detector\"", "role = \"plate-reader\"").contains("does not serve"));
    assert!(plate("id = \"model-1\"", "id = \"\"").contains("printable ASCII"));
    assert!(plate("role = \"plate-detector\"", "role = \"oracle\"").contains("oracle"));
}

#[test]
fn impossible_decodings_are_named() {
    assert!(problem(&SCRFD, "multiple_of = 32", "multiple_of = 16").contains("multiples of 32"));
    assert!(problem(&RETINA, "softmax = true", "").contains("softmax"));
    assert!(problem(&RETINA, "softmax = true", "softmax = true\nsteps = [8, 0, 32]").contains("decode.steps"));
    assert!(problem(&RETINA, "softmax = true", "softmax = true\nsteps = [8, 16]").contains("a list for each"));
    let sizes = "softmax = true\nmin_sizes = [[1.0], [nan], [2.0]]";
    assert!(problem(&RETINA, "softmax = true", sizes).contains("decode.min_sizes"));
    assert!(problem(&RETINA, "softmax = true", "softmax = true\nvariances = [0.0, 0.2]").contains("decode.variances"));
    let row = |row: &str| problem(&YOLO_ROWS, "form", &format!("row = {row}\nform"));
    assert!(row("[\"x1\", \"y1\", \"x2\", \"score\"]").contains("decode.row"));
    assert!(row("[\"x1\", \"y1\", \"x2\", \"y2\", \"score\"]\nclass = 0").contains("class column"));
    assert!(row("[\"x\"]").contains("unknown variant"));
    assert!(problem(&YOLO_RAW, "points = 4", "points = 5").contains("0 or 4"));
    assert!(problem(&YOLO_RAW, "points = 4", "points = 4\npoint_values = 4").contains("point_values"));
    assert!(problem(&YOLO_RAW, "class = 1", "class = 2").contains("less than"));
    assert!(problem(&LIVE, "live = 1", "live = 3").contains("decode.live"));
    assert!(problem(&LIVE, "crop_scale = 2.7", "crop_scale = nan").contains("crop_scale"));
    assert!(problem(&CTC, "blank = 7", "blank = 8").contains("decode.blank"));
    assert!(problem(&CTC, "0123ABC", "0123ABCC").contains("distinct"));
    assert!(problem(&CTC, "0123ABC", "0123 ABC").contains("without spaces"));
    assert!(problem(&CTC, "size = [32, 128]", "size = [32, 128]\naspect = \"keep\"").contains("stretched"));
    assert!(problem(&CTC, "size = [32, 128]", DYNAMIC).contains("fixed `input.size`"));
    assert!(problem(&SLOTS, "0123ABC_", "0123ABC").contains("decode.pad"));
    assert!(problem(&SLOTS, "slots = 9", "slots = 99").contains("decode.slots"));
    assert!(problem(&SLOTS, "slots = 9", "slots = 9\npad = \"__\"").contains("a character"));
}

#[test]
fn one_model_per_role_but_several_for_pad() {
    let second = Entry { id: "model-2", ..CENTRE_POINTS };
    assert!(matches!(parse(&[CENTRE_POINTS, second]), Err(ManifestError::Duplicate { what }) if what.contains("role")));
    assert!(matches!(parse(&[CENTRE_POINTS, CTC]), Err(ManifestError::Duplicate { what }) if what.contains("id")));
    let pads: Vec<Entry> = ["a", "b", "c", "d", "e"].into_iter().map(|id| Entry { id, ..LIVE }).collect();
    let manifest = parse(&pads[..4]).unwrap();
    assert_eq!(manifest.models_for(Role::Pad).map(|model| model.id.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    assert!(parse(&pads).unwrap_err().to_string().contains("at most 4"));
    let other = Entry { id: "b", threshold: "value = 0.5", ..LIVE };
    assert!(parse(&[LIVE, other]).unwrap_err().to_string().contains("same `threshold.value`"));
}

proptest! {
    #[test]
    fn no_text_panics_the_parser(
        which in 0_usize..8,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<char>()), 0..8),
    ) {
        let entry = [CENTRE_POINTS, SCRFD, RETINA, YOLO_ROWS, YOLO_RAW, LIVE, CTC, SLOTS][which].clone();
        let mut text: Vec<char> = (HEADER.to_owned() + &entry.text()).chars().collect();
        for (at, character) in changes {
            let at = at.index(text.len());
            text[at] = character;
        }
        let _ = Manifest::parse(&text.into_iter().collect::<String>());
    }
}
