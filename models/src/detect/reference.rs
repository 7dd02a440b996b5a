//! The decoders against plain ones that are written as the families' papers and reference programs state them: whole lists
//! of anchors or priors in `f64`, normalised coordinates where the original uses them, nothing skipped early. And against
//! outputs that no honest network gives.
#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use proptest::sample::select;

use super::{Candidate, decode, suppress};
use crate::fuzzing::{detectors, fitting, retina_face};
use crate::manifest::{Column, Decode, RetinaFace, Yolo, YoloForm};
use crate::tensor::made::Made;

/// Score, box (left, top, right, bottom) and points.
#[derive(Debug, Clone)]
struct Plain {
    score: f64,
    sides: [f64; 4],
    points: Vec<(f64, f64)>,
}

fn agree(found: &[Candidate], wanted: &[Plain]) {
    assert_eq!(found.len(), wanted.len(), "{found:?} and not {wanted:?}");
    for (mine, plain) in found.iter().zip(wanted) {
        let sides = [mine.bbox.x, mine.bbox.y, mine.bbox.x + mine.bbox.width, mine.bbox.y + mine.bbox.height];
        let near = |a: f32, b: f64| (f64::from(a) - b).abs() <= 1e-2 + 1e-4 * b.abs();
        assert!(near(mine.score, plain.score), "{mine:?} and not {plain:?}");
        assert!(sides.into_iter().zip(plain.sides).all(|(a, b)| near(a, b)), "{mine:?} and not {plain:?}");
        for (point, (x, y)) in mine.points.iter().zip(&plain.points) {
            assert!(near(point.x, *x) && near(point.y, *y), "{mine:?} and not {plain:?}");
        }
    }
}

/// Numbers as a network gives them, the same for the same seed.
fn noise(seed: u32, count: usize, low: f32, high: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            low + (high - low) * (state >> 8) as f32 / (1 << 24) as f32
        })
        .collect()
}

fn decoded(kind: &Decode, outputs: &Made, canvas: [usize; 2], threshold: f32) -> Vec<Candidate> {
    let mut found = Vec::new();
    decode(kind, outputs, canvas, threshold, &mut found).unwrap();
    found
}

/// Leaves what counts. `false` where a score lies so near the threshold that rounding decides.
fn above(wanted: &mut Vec<Plain>, threshold: f32) -> bool {
    let threshold = f64::from(threshold);
    let clear = wanted.iter().all(|plain| (plain.score - threshold).abs() > 1e-6);
    wanted.retain(|plain| plain.score >= threshold);
    clear
}

fn canvas() -> impl Strategy<Value = [usize; 2]> {
    (1_usize..4, 1_usize..4).prop_map(|(h, w)| [32 * h, 32 * w])
}

/// `y` values of the `i`-th row of `width`.
fn row(data: &[f32], i: usize, width: usize) -> Vec<f64> {
    data[i * width..(i + 1) * width].iter().map(|v| f64::from(*v)).collect()
}

fn pairs(values: &[f64]) -> impl Iterator<Item = (f64, f64)> + '_ {
    values.chunks_exact(2).map(|pair| (pair[0], pair[1]))
}

fn scrfd_outputs(seed: u32, canvas: [usize; 2], batched: bool) -> (Made, [[Vec<f32>; 3]; 3]) {
    let levels = [8, 16, 32].map(|stride| {
        let count = canvas[0] / stride * (canvas[1] / stride) * 2;
        [
            noise(seed + stride as u32, count, 0.0, 1.0),
            noise(seed + 100 + stride as u32, count * 4, -1.0, 4.0),
            noise(seed + 200 + stride as u32, count * 10, -3.0, 3.0),
        ]
    });
    let mut outputs = Made::default();
    for (kind, width) in [1, 4, 10].into_iter().enumerate() {
        for (level, stride) in levels.iter().zip([8, 16, 32]) {
            let count = level[kind].len() / width;
            let shape = if batched { vec![1, count, width] } else { vec![count, width] };
            outputs = outputs.with(&format!("{}", 440 + 10 * kind + stride), &shape, level[kind].clone());
        }
    }
    (outputs, levels)
}

fn retina_priors(family: &RetinaFace, canvas: [usize; 2]) -> Vec<[f64; 4]> {
    let [height, width] = canvas.map(|side| side as f64);
    let mut priors = Vec::new();
    for (k, step) in family.steps.iter().enumerate() {
        let step = *step as f64;
        for i in 0..(height / step).ceil() as usize {
            for j in 0..(width / step).ceil() as usize {
                for size in &family.min_sizes[k] {
                    let (size, cx, cy) =
                        (f64::from(*size), (j as f64 + 0.5) * step / width, (i as f64 + 0.5) * step / height);
                    priors.push([cx, cy, size / width, size / height]);
                }
            }
        }
    }
    priors
}

fn retina_family(softmax: bool, steps: &[usize]) -> RetinaFace {
    let mut family = retina_face(softmax);
    family.min_sizes.truncate(steps.len());
    RetinaFace { steps: steps.to_vec(), ..family }
}

proptest! {
    #[test]
    fn yunet(seed in any::<u16>(), canvas in canvas(), threshold in 0.3_f32..0.95) {
        let seed = u32::from(seed);
        let (mut outputs, mut wanted) = (Made::default(), Vec::new());
        for stride in [8_usize, 16, 32] {
            let cells = canvas[0] / stride * (canvas[1] / stride);
            let tensors = [("cls", 1, 0.0, 1.0), ("obj", 1, 0.0, 1.0), ("bbox", 4, -1.0, 2.0), ("kps", 10, -3.0, 3.0)]
                .map(|(name, width, low, high)| {
                    (name, width, noise(seed + name.len() as u32 * 7 + stride as u32 * 31 + width as u32, cells * width, low, high))
                });
            for (name, width, data) in &tensors {
                outputs = outputs.with(&format!("{name}_{stride}"), &[1, cells, *width], data.clone());
            }
            for r in 0..canvas[0] / stride {
                for c in 0..canvas[1] / stride {
                    let i = r * (canvas[1] / stride) + c;
                    let score = (f64::from(tensors[0].2[i]) * f64::from(tensors[1].2[i])).sqrt();
                    let (b, k, s) = (row(&tensors[2].2, i, 4), row(&tensors[3].2, i, 10), stride as f64);
                    let (cx, cy) = ((c as f64 + b[0]) * s, (r as f64 + b[1]) * s);
                    let (w, h) = (b[2].exp() * s, b[3].exp() * s);
                    wanted.push(Plain {
                        score,
                        sides: [cx - w / 2.0, cy - h / 2.0, cx + w / 2.0, cy + h / 2.0],
                        points: pairs(&k).map(|(x, y)| ((x + c as f64) * s, (y + r as f64) * s)).collect(),
                    });
                }
            }
        }
        prop_assume!(above(&mut wanted, threshold));
        agree(&decoded(&Decode::Yunet {}, &outputs, canvas, threshold), &wanted);
    }

    #[test]
    fn scrfd(seed in any::<u16>(), canvas in canvas(), threshold in 0.5_f32..0.98, batched in any::<bool>()) {
        let (outputs, levels) = scrfd_outputs(u32::from(seed), canvas, batched);
        let mut wanted = Vec::new();
        for (level, stride) in levels.iter().zip([8.0_f64, 16.0, 32.0]) {
            let mut centres = Vec::new();
            for r in 0..canvas[0] / stride as usize {
                for c in 0..canvas[1] / stride as usize {
                    centres.extend([(c as f64 * stride, r as f64 * stride); 2]);
                }
            }
            for (i, (x, y)) in centres.into_iter().enumerate() {
                let (b, k) = (row(&level[1], i, 4), row(&level[2], i, 10));
                wanted.push(Plain {
                    score: f64::from(level[0][i]),
                    sides: [x - b[0] * stride, y - b[1] * stride, x + b[2] * stride, y + b[3] * stride],
                    points: pairs(&k).map(|(dx, dy)| (x + dx * stride, y + dy * stride)).collect(),
                });
            }
        }
        prop_assume!(above(&mut wanted, threshold));
        agree(&decoded(&Decode::Scrfd {}, &outputs, canvas, threshold), &wanted);
    }

    #[test]
    fn retina(
        seed in any::<u16>(),
        canvas in (20_usize..90, 20_usize..90),
        threshold in 0.5_f32..0.95,
        softmax in any::<bool>(),
        steps in select(vec![vec![8_usize, 16, 32], vec![16, 32]]),
    ) {
        let (seed, canvas, family) = (u32::from(seed), [canvas.0, canvas.1], retina_family(softmax, &steps));
        let priors = retina_priors(&family, canvas);
        let count = priors.len();
        let (loc, landms) = (noise(seed, count * 4, -3.0, 3.0), noise(seed + 1, count * 10, -9.0, 9.0));
        let face: Vec<f32> = noise(seed + 2, count, 0.0, 1.0);
        let conf: Vec<f32> = if softmax {
            face.iter().flat_map(|p| [1.0 - p, *p]).collect()
        } else {
            noise(seed + 3, count * 2, -5.0, 5.0)
        };
        // whatever order and names the exporter chose
        let outputs = Made::default()
            .with("585", &[1, count, 10], landms.clone())
            .with("output0", &[1, count, 4], loc.clone())
            .with("586", &[1, count, 2], conf.clone());
        let (width, height) = (canvas[1] as f64, canvas[0] as f64);
        let mut wanted = Vec::new();
        for (i, [cx, cy, w, h]) in priors.into_iter().enumerate() {
            let (l, m, c) = (row(&loc, i, 4), row(&landms, i, 10), row(&conf, i, 2));
            let score = if softmax { c[1] } else { c[1].exp() / (c[0].exp() + c[1].exp()) };
            let (x, y) = (cx + l[0] * f64::from(0.1_f32) * w, cy + l[1] * f64::from(0.1_f32) * h);
            let (bw, bh) = (w * (l[2] * 0.2).exp(), h * (l[3] * 0.2).exp());
            wanted.push(Plain {
                score,
                sides: [(x - bw / 2.0) * width, (y - bh / 2.0) * height, (x + bw / 2.0) * width, (y + bh / 2.0) * height],
                points: pairs(&m).map(|(dx, dy)| ((cx + dx * 0.1 * w) * width, (cy + dy * 0.1 * h) * height)).collect(),
            });
        }
        prop_assume!(above(&mut wanted, threshold));
        let found = decoded(&Decode::RetinaFace(family), &outputs, canvas, threshold);
        agree(&found, &wanted);
    }

    #[test]
    fn yolo_rows(
        seed in any::<u16>(),
        objects in 0_usize..30,
        threshold in 0.1_f32..0.9,
        class in select(vec![None, Some(0_usize), Some(2)]),
        (points, point_values) in select(vec![(0_usize, 3_usize), (4, 2), (4, 3), (5, 3)]),
        batched in any::<bool>(),
        swapped in any::<bool>(),
    ) {
        use Column::{Batch, Class, Score, X1, X2, Y1, Y2};
        let order = if swapped { vec![X1, Y1, X2, Y2, Score, Class] } else { vec![Batch, X1, Y1, X2, Y2, Class, Score] };
        let width = order.len() + points * point_values;
        let seed = u32::from(seed);
        let (mut data, mut wanted) = (Vec::new(), Vec::new());
        for object in 0..objects {
            let v = noise(seed + object as u32, 24, 0.0, 300.0);
            let score = noise(seed + 99 + object as u32, 1, 0.0, 1.0)[0];
            let of = (v[5] as usize % 3) as f32;
            data.extend(order.iter().map(|column| match column {
                Batch => 0.0, X1 => v[0], Y1 => v[1], X2 => v[0] + v[2], Y2 => v[1] + v[3], Class => of, Score => score,
            }));
            data.extend(&v[8..8 + points * point_values]);
            let [x1, y1, x2, y2] = [v[0], v[1], v[0] + v[2], v[1] + v[3]].map(f64::from);
            if score >= threshold && class.is_none_or(|class| class as f32 == of) {
                let given: Vec<(f64, f64)> = (0..points)
                    .map(|p| (f64::from(v[8 + p * point_values]), f64::from(v[9 + p * point_values])))
                    .collect();
                wanted.push(Plain {
                    score: f64::from(score),
                    sides: [x1, y1, x2, y2],
                    points: if points == 0 { vec![(x1, y1), (x2, y1), (x2, y2), (x1, y2)] } else { given },
                });
            }
        }
        let shape = if batched { vec![1, objects, width] } else { vec![objects, width] };
        let outputs = Made::default().with("output", &shape, data);
        let family = Yolo { form: YoloForm::EndToEnd, row: order, classes: 1, class, points, point_values };
        agree(&decoded(&Decode::Yolo(family), &outputs, [384, 384], threshold), &wanted);
    }

    #[test]
    fn yolo_columns(
        seed in any::<u16>(),
        count in 0_usize..60,
        classes in 1_usize..4,
        only in any::<bool>(),
        threshold in 0.3_f32..0.95,
        (points, point_values) in select(vec![(0_usize, 3_usize), (4, 2), (4, 3)]),
    ) {
        let planes = 4 + classes + points * point_values;
        // candidate by candidate, transposed at the end
        let table: Vec<Vec<f32>> = (0..count)
            .map(|i| {
                let seed = u32::from(seed) + i as u32;
                let mut values = noise(seed, planes, 1.0, 400.0);
                values.splice(4..4 + classes, noise(seed + 7, classes, 0.0, 1.0));
                values
            })
            .collect();
        let data = (0..planes).flat_map(|p| table.iter().map(move |values| values[p])).collect();
        let class = only.then_some(classes - 1);
        let mut wanted = Vec::new();
        for values in &table {
            let v: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
            let scores = &v[4..4 + classes];
            let score = class.map_or_else(|| scores.iter().copied().fold(0.0, f64::max), |class| scores[class]);
            let [x1, y1, x2, y2] = [v[0] - v[2] / 2.0, v[1] - v[3] / 2.0, v[0] + v[2] / 2.0, v[1] + v[3] / 2.0];
            if score >= f64::from(threshold) {
                let marks = &v[4 + classes..];
                let given: Vec<(f64, f64)> = marks.chunks_exact(point_values).map(|mark| (mark[0], mark[1])).collect();
                wanted.push(Plain {
                    score,
                    sides: [x1, y1, x2, y2],
                    points: if points == 0 { vec![(x1, y1), (x2, y1), (x2, y2), (x1, y2)] } else { given },
                });
            }
        }
        let outputs = Made::default().with("output0", &[1, planes, count], data);
        let family = Yolo { form: YoloForm::Raw, row: Vec::new(), classes, class, points, point_values };
        agree(&decoded(&Decode::Yolo(family), &outputs, [640, 640], threshold), &wanted);
    }

    #[test]
    fn hostile_outputs_are_refused_or_give_nothing_impossible(
        which in 0_usize..detectors().len(),
        shapes in proptest::collection::vec((0_usize..names().len(), proptest::collection::vec(-2_i64..40, 0..5)), 0..14),
        honest in any::<bool>(),
        values in proptest::collection::vec(
            select(vec![0.0_f32, 0.5, 0.99, 1.0, -1.0, 7.0, 1e30, -1e30, f32::MAX, f32::NAN, f32::INFINITY, f32::NEG_INFINITY]),
            1..40,
        ),
        canvas in canvas(),
    ) {
        let kind = &detectors()[which];
        let outputs = if honest {
            fitting(kind, canvas, 50)
        } else {
            shapes.into_iter().map(|(name, shape)| (names()[name].to_owned(), shape)).collect()
        };
        // the right number of values for each shape that has one: what fails then is not the length alone
        let outputs = Made(outputs.into_iter().map(|(name, shape)| {
            let count = shape.iter().map(|side| (*side).max(0) as usize).product::<usize>().min(200_000);
            let data = values.iter().copied().cycle().take(count).collect();
            (name, shape, data)
        }).collect());
        let mut found = Vec::new();
        let answer = decode(kind, &outputs, canvas, 0.4, &mut found);
        suppress(&mut found);
        prop_assert!(found.iter().all(|c| c.score.is_finite() && c.bbox.area().is_normal()));
        prop_assert!(found.iter().all(|c| c.points.iter().all(|p| p.x.abs() < 1e5 && p.y.abs() < 1e5)));
        if let Err(error) = answer {
            prop_assert!(!error.expected.is_empty() && !error.found.is_empty());
        }
    }
}

fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = super::yunet::output_names().collect();
    names.extend(["heatmap", "points", "box", "output0"]);
    names
}

#[test]
fn an_honest_shape_with_another_count_is_refused_with_both() {
    let outputs = scrfd_outputs(1, [64, 64], true).0;
    let error = decode(&Decode::Scrfd {}, &outputs, [64, 96], 0.5, &mut Vec::new()).unwrap_err();
    assert!(error.expected.contains("[192, 1]") && error.found.contains("[1, 128, 1]"), "{error:?}");
}

#[test]
fn a_swapped_score_column_is_noticed() {
    let family = match detectors().remove(7) {
        Decode::Yolo(family) => {
            Yolo { row: [family.row[..5].to_vec(), vec![Column::Score, Column::Class]].concat(), ..family }
        }
        _ => panic!("not the end-to-end YOLO"),
    };
    // a plate of class 3: read as a score it is no probability
    let outputs = Made::default().with("output", &[1, 7], vec![0.0, 1.0, 1.0, 20.0, 9.0, 3.0, 0.9]);
    let error = decode(&Decode::Yolo(family), &outputs, [64, 64], 0.5, &mut Vec::new()).unwrap_err();
    assert!(error.expected.contains("probabilities"), "{error:?}");
}
