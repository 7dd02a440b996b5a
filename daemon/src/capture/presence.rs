//! Is anything there? A cheap look at a frame that spares an empty scene the neural networks.
//!
//! The frame is reduced to a grid of grey levels and compared with a background that follows the scene slowly. A common
//! change of brightness (a cloud, the camera's exposure) is taken out first. What stands still long enough becomes
//! background, so this only decides *when* to look; that a motionless person is looked at again is [`super::pace`]'s.

use cardea_models::Frame;

/// Cells across and down.
const GRID: (u32, u32) = (32, 18);
/// Pixels sampled per cell, across and down.
const SAMPLES: u32 = 4;
/// Grey levels by which a changed cell differs.
const CELL_LEVELS: f32 = 10.0;
/// Changed cells that make a change of the scene: a face at the far end of a doorway covers more.
const CELLS: usize = 4;
/// How fast the background follows, per frame.
const FOLLOW: f32 = 0.03;

/// The background of one camera.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    background: Vec<f32>,
}

impl Presence {
    /// Whether something differs from the background. The first frame, of which nothing is known, counts as changed.
    pub(crate) fn changed(&mut self, frame: &Frame) -> bool {
        let grid = reduce(frame);
        if self.background.len() != grid.len() {
            self.background = grid;
            return true;
        }
        let cells = grid.len() as f32;
        let shift: f32 = grid.iter().zip(&self.background).map(|(new, old)| new - old).sum::<f32>() / cells;
        let mut different = 0;
        for (new, old) in grid.iter().zip(&mut self.background) {
            different += usize::from((new - shift - *old).abs() > CELL_LEVELS);
            *old += FOLLOW * (new - *old);
        }
        different >= CELLS
    }
}

/// Mean grey levels of the grid's cells, from a sparse sample.
fn reduce(frame: &Frame) -> Vec<f32> {
    let (width, height) = (frame.width(), frame.height());
    let mut grid = Vec::with_capacity((GRID.0 * GRID.1) as usize);
    for row in 0..GRID.1 {
        for column in 0..GRID.0 {
            let mut sum = 0.0;
            for i in 0..SAMPLES * SAMPLES {
                let x = (column * SAMPLES + i % SAMPLES) * width / (GRID.0 * SAMPLES);
                let y = (row * SAMPLES + i / SAMPLES) * height / (GRID.1 * SAMPLES);
                let [red, green, blue] = frame.pixel(x, y).unwrap_or_default();
                // Rec. 601.
                sum += 0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue);
            }
            grid.push(sum / (SAMPLES * SAMPLES) as f32);
        }
    }
    grid
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(grey: u8, person: bool) -> Frame {
        let mut frame = Frame::filled(640, 360, [grey; 3]);
        if person {
            for y in 100..200 {
                for x in 300..370 {
                    frame.set_pixel(x, y, [grey.wrapping_add(90); 3]);
                }
            }
        }
        frame
    }

    #[test]
    fn an_empty_scene_is_quiet_and_a_person_is_not() {
        let mut presence = Presence::default();
        assert!(presence.changed(&scene(80, false)), "the first frame");
        assert!(!presence.changed(&scene(80, false)));
        assert!(presence.changed(&scene(80, true)));
        assert!(!presence.changed(&scene(80, false)), "gone again");
    }

    #[test]
    fn light_alone_is_no_person() {
        let mut presence = Presence::default();
        presence.changed(&scene(80, false));
        for grey in [85, 95, 110, 100, 60] {
            assert!(!presence.changed(&scene(grey, false)), "{grey}");
        }
        assert!(presence.changed(&scene(100, true)));
    }

    #[test]
    fn a_frame_of_another_size_is_compared_all_the_same() {
        let mut presence = Presence::default();
        presence.changed(&scene(80, false));
        assert!(!presence.changed(&Frame::filled(3, 2, [80; 3])));
    }
}
