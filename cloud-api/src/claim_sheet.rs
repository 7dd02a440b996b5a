//! A sheet of paper to claim a controller by: everything in a QR code, and in words for who has no scanner.
//!
//! Whoever has the sheet can claim the controller, once, until the code ends. It is made from what the API answered, by whoever
//! has that answer; nothing of it is kept.

use cardea_protocol::claim::ClaimTicket;
use maud::{DOCTYPE, PreEscaped, html};
use qrcode::{Color, EcLevel, QrCode};

/// Modules of white around the code (ISO/IEC 18004 §6.3.8).
const QUIET: usize = 4;
const STYLE: &str = "@page{size:A4;margin:18mm}body{font:12pt sans-serif;color:#000;background:#fff}svg{width:80mm;height:80mm}\
    dt{margin-top:3mm;font-size:9pt}dd{margin:0;font-family:monospace;overflow-wrap:anywhere}.code{font-size:18pt}";

/// The line is longer than a QR code bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the claim's line is too long for a QR code: are the addresses right?")]
pub struct TooLong;

/// The sheet, an HTML page without script to be printed. `good_until`: as the API says it (RFC 3339).
pub fn page(ticket: &ClaimTicket, good_until: &str) -> Result<String, TooLong> {
    let line = ticket.line();
    let code = drawing(&line)?;
    let fingerprint = grouped(&hex::encode(ticket.ca_sha256));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "Claim " (ticket.controller) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (ticket.controller) }
                p { "Good once, until " strong { (good_until) } ". Whoever has this sheet can claim this controller: hand it to the installer \
                    alone, and destroy it when it is used." }
                (PreEscaped(code))
                p { "On the controller: " code { "sudo -u cardea cardead claim" } ", then scan the code, or type what stands under it." }
                dl {
                    dt { "line" } dd { (line.as_str()) }
                    dt { "site" } dd { (ticket.site) }
                    dt { "code" } dd.code { (ticket.code.as_str()) }
                    dt { "enrolment" } dd { (ticket.enrolment_url) }
                    dt { "API" } dd { (ticket.api_url) }
                    dt { "SHA-256 of the CA\u{2019}s certificate" } dd { (fingerprint) }
                }
            }
        }
    };
    Ok(page.into_string())
}

/// The QR code as SVG, one unit a module.
fn drawing(line: &str) -> Result<String, TooLong> {
    let code = QrCode::with_error_correction_level(line, EcLevel::M).map_err(|_| TooLong)?;
    let (width, colors) = (code.width(), code.to_colors());
    let mut path = String::new();
    for (y, row) in colors.chunks(width).enumerate() {
        for (x, _) in row.iter().enumerate().filter(|(_, color)| **color == Color::Dark) {
            path.push_str(&format!("M{} {}h1v1h-1z", x + QUIET, y + QUIET));
        }
    }
    let side = width + 2 * QUIET;
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

/// In groups of four, as people compare it.
fn grouped(hex: &str) -> String {
    let mut text = String::with_capacity(hex.len() / 4 * 5);
    for (i, c) in hex.chars().enumerate() {
        if i > 0 && i % 4 == 0 {
            text.push(' ');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use cardea_protocol::id::{ControllerId, SiteId};
    use zeroize::Zeroizing;

    use super::*;

    fn ticket() -> ClaimTicket {
        ClaimTicket {
            controller: ControllerId::new("birch-street-12-gate").unwrap(),
            site: SiteId::new("birch-street-12").unwrap(),
            enrolment_url: "https://cloud.example.org:8444".parse().unwrap(),
            api_url: "https://cloud.example.org:8443".parse().unwrap(),
            ca_sha256: [0xab; 32],
            code: Zeroizing::new("7KQ4-M2XP-93TD-VH6R".to_owned()),
        }
    }

    /// What a scanner makes of the drawing on the page.
    fn scanned(page: &str) -> String {
        const SCALE: usize = 4;
        let between = |from: &str, to: &str| {
            let start = page.find(from).unwrap() + from.len();
            &page[start..start + page[start..].find(to).unwrap()]
        };
        let side: usize = between("viewBox=\"0 0 ", " ").parse().unwrap();
        let mut dark = vec![false; side * side];
        for module in between(" d=\"", "\"").split('M').skip(1) {
            let (x, y) = module.split_once('h').unwrap().0.split_once(' ').unwrap();
            dark[y.parse::<usize>().unwrap() * side + x.parse::<usize>().unwrap()] = true;
        }
        let shade = |x: usize, y: usize| if dark[y / SCALE * side + x / SCALE] { 0 } else { 255 };
        let mut picture = rqrr::PreparedImage::prepare_from_greyscale(side * SCALE, side * SCALE, shade);
        let codes = picture.detect_grids();
        assert_eq!(codes.len(), 1);
        codes[0].decode().unwrap().1
    }

    #[test]
    fn a_scanner_reads_the_line_off_the_sheet() {
        let page = page(&ticket(), "2026-11-30T18:19:29Z").unwrap();
        assert_eq!(scanned(&page), *ticket().line());
        for text in ["2026-11-30T18:19:29Z", "7KQ4-M2XP-93TD-VH6R", "abab abab", "birch-street-12-gate"] {
            assert!(page.contains(text), "{text}");
        }
        assert!(!page.contains("<script") && !page.contains("src="), "nothing is fetched from anywhere");
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let api_url = format!("https://cloud.example.org/{}", "a".repeat(4_000)).parse().unwrap();
        assert_eq!(page(&ClaimTicket { api_url, ..ticket() }, ""), Err(TooLong));
    }
}
