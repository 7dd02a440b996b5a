//! The report for people: one section for each set. No text of a plate and no name of a person appears in it.

use std::fmt::Write as _;

use super::{Found, Measured, PackLine, Report};
use crate::eval::curve::Point;
use crate::eval::faces::{AtFalseMatch, Everyone, FaceResult, Search, Verification};
use crate::eval::pad::PadResult;
use crate::eval::plates::{Gate, GateView, PlateResult, Source};
use crate::eval::stats::{Method, Rate};

/// The whole report.
pub(super) fn report(report: &Report) -> String {
    format!("# Accuracy of pack {}\n\n{}", report.pack.name, body(report))
}

/// The report below its title: how it was made, the pack, the sets.
pub(super) fn body(report: &Report) -> String {
    let mut text = format!("Made by `{}`", report.command);
    if !report.commit.is_empty() {
        let _ = write!(text, " at commit {}", report.commit);
    }
    text.push_str(".\n\n");
    text.push_str(&pack(&report.pack));
    for set in &report.sets {
        text.push('\n');
        text.push_str(&section(set));
    }
    text
}

fn pack(pack: &PackLine) -> String {
    let mut text = format!(
        "Pack **{}** {} ({}):\n\n| role | model | fitness | SHA-256 | threshold |\n|---|---|---|---|---|\n",
        pack.name, pack.version, pack.licence
    );
    for model in &pack.models {
        let _ = writeln!(
            text,
            "| {} | {} | {} | `{}…` | {} ({}) |",
            model.role, model.id, model.fitness, model.hash, model.threshold, model.meaning
        );
    }
    text
}

fn section(set: &Measured) -> String {
    let mut text = format!("### {}\n\n", set.name);
    let licence = if set.licence.is_empty() { "not stated" } else { &set.licence };
    let _ = write!(text, "{}. Terms: {licence}.", about(&set.found));
    if !set.notes.is_empty() {
        let _ = write!(text, " {}", set.notes.trim());
    }
    text.push_str("\n\n");
    text.push_str(&match &set.found {
        Found::Plates(found) => plates(found),
        Found::Faces(found) => faces(found),
        Found::Pad(found) => pad(found),
    });
    text
}

fn about(found: &Found) -> String {
    match found {
        Found::Plates(found) => {
            let plates = found.sources.first().map_or(0, |source| source.plates);
            format!("{} photographs with {} plates", found.photos, number(plates))
        }
        Found::Faces(found) => format!("{} portraits", number(found.portraits as u64)),
        Found::Pad(found) => format!("{} presentations, one picture each", found.presentations),
    }
}

fn plates(found: &PlateResult) -> String {
    let mut text = "| source | plates | detected | read exactly | exactly on the labelled box | characters right | false reject | \
                    false accept |\n|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for source in &found.sources {
        text.push_str(&source_row(source));
    }
    let alarms = found.false_alarms as f64 / found.photos.max(1) as f64;
    let _ = write!(
        text,
        "\nDetections of nothing labelled: {} in {} photographs, {alarms:.2} each. Read exactly: of the plates a person \
         can read, detected or not. Characters right: of detected plates.\n\n",
        found.false_alarms, found.photos
    );
    text.push_str(&gate(&found.gate));
    text
}

fn source_row(source: &Source) -> String {
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
        source.name,
        number(source.plates),
        rate(&source.detected),
        rate(&source.exact),
        rate(&source.exact_on_box),
        if source.detected.events > 0 { percent(source.characters_right) } else { "–".into() },
        rate(&source.false_reject),
        rate(&source.false_accept),
    )
}

fn gate(gate: &Gate) -> String {
    let stated = gate.stated.false_match_rate.map_or("no stated false-accept rate".to_owned(), |rate| {
        format!("said to stand for a false-accept rate of {}", percent(rate))
    });
    let mut text = format!(
        "Decisions at the manifest's threshold {} ({stated}), each reading against {} plates that differ from the true one \
         in one or two characters, the most confusable first:\n\n\
         | views | pictures | plates | false accept | false accept, if readings were independent | false reject | \
         false reject of detected | strays accepted |\n|---|---|---|---|---|---|---|---|\n",
        gate.stated.threshold as f32,
        number(gate.listed as u64)
    );
    text.push_str(&gate_row("as photographed", &gate.plain));
    if let Some(perturbed) = &gate.perturbed {
        text.push_str(&gate_row("and perturbed", perturbed));
        text.push_str(
            "\nPerturbed: aim, exposure, focus, noise and compression changed a little, at random. Such views of one \
             photograph are not independent: intervals come from resampling plates, and where nothing happened the bound \
             counts each plate once.\n",
        );
    }
    // without any wrong match, any threshold at all would do
    let known = gate.at_false_accept.iter().filter(|point| point.threshold > f64::MIN);
    let others: Vec<String> = known.map(other_threshold).collect();
    if !others.is_empty() {
        let _ = writeln!(
            text,
            "\nWhat other thresholds would do, over all views (chosen on the very pictures they are measured on): {}.",
            others.join("; ")
        );
    }
    text
}

fn other_threshold(point: &Point) -> String {
    let (accept, reject) = (percent(point.false_accept), percent(point.false_reject));
    format!("{:.2} accepts falsely {accept} and rejects falsely {reject}", point.threshold)
}

fn gate_row(name: &str, view: &GateView) -> String {
    format!(
        "| {name} | {} | {} | {} | {} | {} | {} | {} |\n",
        number(view.plates),
        number(view.distinct as u64),
        rate(&view.false_accept),
        rate(&view.false_accept_independent),
        rate(&view.false_reject),
        rate(&view.false_reject_detected),
        rate(&view.stray_accept),
    )
}

fn faces(found: &FaceResult) -> String {
    let mut text = format!(
        "Not acquired (no face found, or none large enough): {} of {}; comparisons with them count as not accepted. Several \
         faces found: {}; the largest near the middle was taken.",
        found.not_acquired,
        number(found.portraits as u64),
        found.several_faces
    );
    if let Some(rule) = &found.held_out {
        let _ = write!(
            text,
            " Measured on people held out of training by `{rule}` only: {} pairs and {} portraits of the search are left out.",
            number(found.pairs_left_out as u64),
            number(found.search_left_out as u64)
        );
    }
    text.push_str("\n\n");
    let stated = found
        .stated_false_match_rate
        .map_or("no stated FMR".to_owned(), |rate| format!("stated FMR {}", percent(rate)));
    let _ = writeln!(text, "Manifest's threshold: cosine {} ({stated}).\n", found.threshold as f32);
    text.push_str("| | figure |\n|---|---|\n");
    if let Some(verification) = &found.verification {
        text.push_str(&verification_rows(verification));
    }
    if let Some(everyone) = &found.everyone {
        text.push_str(&everyone_rows(everyone));
    }
    if let Some(search) = &found.search {
        text.push_str(&search_rows(search));
    }
    text
}

fn verification_rows(found: &Verification) -> String {
    let mut text = format!(
        "| **Listed pairs** | {} of one person, {} of two; {} not compared |\n\
         | accuracy over {} folds, threshold from the others | {} ± {} (standard deviation); all pairs {} |\n",
        number(found.genuine),
        number(found.impostor),
        found.not_compared,
        found.folds.len(),
        percent(found.mean_accuracy),
        percent(found.deviation),
        rate(&found.accuracy)
    );
    text.push_str(&false_match_rows(&found.at_false_match));
    let _ = writeln!(text, "| equal error rate | {} |", percent(found.equal_error));
    let _ = writeln!(text, "| FMR at the manifest's threshold | {} |", rate(&found.false_match));
    let _ = writeln!(text, "| FNMR at the manifest's threshold | {} |", rate(&found.false_non_match));
    text
}

fn everyone_rows(found: &Everyone) -> String {
    let mut text = format!(
        "| **Every portrait with every other** | {} people; {} comparisons of one person, {} of two; intervals by person |\n",
        number(found.people as u64),
        number(found.genuine),
        number(found.impostor)
    );
    text.push_str(&false_match_rows(&found.at_false_match));
    let _ = writeln!(text, "| equal error rate | {} |", percent(found.equal_error));
    let _ = writeln!(text, "| FMR at the manifest's threshold | {} |", rate(&found.false_match));
    let _ = writeln!(text, "| FNMR at the manifest's threshold | {} |", rate(&found.false_non_match));
    text
}

fn false_match_rows(found: &[AtFalseMatch]) -> String {
    let mut text = String::new();
    for at in found {
        let (far, tar) = (percent(at.false_match_rate), rate(&at.true_accept));
        let _ = writeln!(text, "| TAR at FAR {far} (cosine {:.3}) | {tar} |", at.threshold);
    }
    text
}

fn search_rows(found: &Search) -> String {
    let mut text = format!(
        "| **1:N, open set** | {} people enrolled with {} portraits, {} of whom no portrait serves; {} probes of them ({} not \
         acquired), {} of others ({} not acquired) |\n",
        number(found.enrolled as u64),
        number(found.references as u64),
        found.not_enrolled,
        number(found.mated),
        found.mated_not_acquired,
        number(found.impostors),
        found.impostors_not_acquired
    );
    let _ = writeln!(text, "| rank one | {} |", rate(&found.rank_one));
    let _ = writeln!(text, "| FPIR at the manifest's threshold | {} |", rate(&found.false_positive));
    let _ = writeln!(text, "| FNIR at the manifest's threshold | {} |", rate(&found.false_negative));
    let _ = writeln!(text, "| TPIR at FPIR 1 % (cosine {:.3}) | {} |", found.threshold, rate(&found.true_positive));
    text
}

fn pad(found: &PadResult) -> String {
    let mut text = format!(
        "At the manifest's threshold, live probability {}:\n\n| | rate | no face found |\n|---|---|---|\n",
        found.threshold as f32
    );
    for species in &found.species {
        let _ =
            writeln!(text, "| APCER, {} | {} | {} |", species.name, rate(&species.accepted), species.without_response);
    }
    if let Some(worst) = found.worst() {
        let _ = writeln!(text, "| **APCER, worst species** ({}) | {} | |", worst.name, rate(&worst.accepted));
    }
    let _ = writeln!(text, "| **BPCER** | {} | {} |", rate(&found.live_rejected), found.live_without_response);
    text.push_str("\nSingle pictures: a decision over the frames of a track is not measured here, and no certification is claimed.\n");
    text
}

/// A rate with its interval and counts.
fn rate(rate: &Rate) -> String {
    let (events, trials) = (number(rate.events), number(rate.trials));
    match rate.method {
        Method::Nothing => "–".into(),
        Method::Bound | Method::ClusterBound if rate.events == 0 => {
            format!("0 of {trials} (≤ {})", percent(rate.high))
        }
        Method::Bound | Method::ClusterBound => format!("{events} of {trials} (≥ {})", percent(rate.low)),
        _ => format!(
            "{} ({} to {}), {events} of {trials}",
            percent(rate.value),
            percent(rate.low).trim_end_matches(" %"),
            percent(rate.high).trim_end_matches(" %")
        ),
    }
}

/// As a percentage, with as many digits as its size deserves.
fn percent(share: f64) -> String {
    let value = share * 100.0;
    let from_end = value.abs().min((100.0 - value).abs());
    let digits = match from_end {
        0.0 => 0,
        v if v < 0.01 => 4,
        v if v < 0.1 => 3,
        v if v < 1.0 => 2,
        _ => 1,
    };
    format!("{value:.digits$} %")
}

/// With separators between thousands.
fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::stats::Count;

    #[test]
    fn rates_are_written_with_interval_and_counts() {
        assert_eq!(rate(&Rate::of(Count { events: 111, trials: 114 })), "97.4 % (92.5 to 99.10), 111 of 114");
        assert_eq!(rate(&Rate::rare(Count { events: 0, trials: 30_000 })), "0 of 30,000 (≤ 0.0100 %)");
        assert_eq!(rate(&Rate::of(Count { events: 20, trials: 20 })), "20 of 20 (≥ 86.1 %)");
        assert_eq!(rate(&Rate::of(Count::default())), "–");
        assert_eq!((number(0), number(999), number(1_234_567)), ("0".into(), "999".into(), "1,234,567".into()));
        assert_eq!(
            (percent(0.0), percent(1.0), percent(0.9933), percent(0.0004)),
            ("0 %".into(), "100 %".into(), "99.33 %".into(), "0.040 %".into())
        );
    }
}
