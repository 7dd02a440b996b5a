//! A contact sheet of misread plates: the crop, what was read (red: and taken for an admitted plate), what is there.
//!
//! Such a sheet shows photographs of other people: it goes where `--out` says and nowhere else.

use cardea_models::annotate::{GREEN, RED, YELLOW, label};
use cardea_models::{Frame, Point};

use super::{Misread, TILE_WIDTH};

const COLUMNS: usize = 5;
/// Worst ones shown.
const MOST: usize = 60;
/// Around and between tiles, in pixels.
const GAP: usize = 12;
/// Height of one line of text, in pixels: letters of 14 with a margin.
const LINE: usize = 20;
const SCALE: u32 = 2;

/// The sheet; `None` where nothing was misread.
pub(super) fn misreads(misreads: &[Misread]) -> Option<Frame> {
    let shown = &misreads[..misreads.len().min(MOST)];
    if shown.is_empty() {
        return None;
    }
    let columns = COLUMNS.min(shown.len());
    let across = TILE_WIDTH + GAP;
    let rows: Vec<(&[Misread], usize)> = shown.chunks(columns).map(|row| (row, tallest(row))).collect();
    let height: usize = rows.iter().map(|(_, crop)| crop + 2 * LINE + GAP).sum();
    let mut sheet = Frame::filled((columns * across + GAP) as u32, (height + GAP) as u32, [52, 55, 60]);
    let mut top = GAP;
    for (row, crop) in rows {
        for (i, misread) in row.iter().enumerate() {
            tile(&mut sheet, misread, GAP + i * across, top + crop);
        }
        top += crop + 2 * LINE + GAP;
    }
    Some(sheet)
}

fn tallest(row: &[Misread]) -> usize {
    row.iter().map(|misread| misread.crop.height() as usize).max().unwrap_or(0)
}

/// One misread, its crop ending at `below`.
fn tile(sheet: &mut Frame, misread: &Misread, left: usize, below: usize) {
    paste(sheet, &misread.crop, left, below.saturating_sub(misread.crop.height() as usize));
    let (text, colour) = match (misread.read.as_str(), misread.accepted_wrong) {
        ("", _) => ("not read".to_owned(), RED),
        (read, true) => (format!("took {read}"), RED),
        (read, false) => (format!("read {read}"), YELLOW),
    };
    label(sheet, Point::new(left as f32, below as f32), &text, SCALE, colour);
    label(sheet, Point::new(left as f32, (below + LINE) as f32), &format!("is   {}", misread.truth), SCALE, GREEN);
}

/// `crop` with its top left corner at `left`, `top`.
fn paste(sheet: &mut Frame, crop: &Frame, left: usize, top: usize) {
    for y in 0..crop.height() {
        for x in 0..crop.width() {
            if let Some(colour) = crop.pixel(x, y) {
                sheet.set_pixel(left as u32 + x, top as u32 + y, colour);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn misread(read: &str, height: u32) -> Misread {
        Misread {
            crop: Frame::filled(TILE_WIDTH as u32, height, [200, 10, 10]),
            truth: "A123BC77".into(),
            read: read.into(),
            accepted_wrong: false,
        }
    }

    #[test]
    fn every_misread_has_its_tile_and_its_texts() {
        assert!(misreads(&[]).is_none());
        let sheet =
            misreads(&(0..7).map(|i| misread(if i == 0 { "" } else { "A123BC7" }, 50)).collect::<Vec<_>>()).unwrap();
        assert_eq!((sheet.width(), sheet.height()), (5 * 252 + 12, 2 * 102 + 12));
        let count = |colour: [u8; 3]| sheet.rgb().chunks_exact(3).filter(|pixel| *pixel == colour).count();
        assert_eq!(count([200, 10, 10]), 7 * 240 * 50);
        assert!(count(GREEN) > 7 * 100 && count(RED) > 100 && count(YELLOW) > 6 * 100);
        let many = misreads(&(0..200).map(|_| misread("X", 150)).collect::<Vec<_>>()).unwrap();
        assert_eq!(many.height(), 12 * 202 + 12);
    }
}
