//! What is shown while there is no picture: a crossed-out camera on dark grey. No words: the peer sees it too.

use visavis_codec::Picture;

/// Limited range.
const GROUND: u8 = 40;
const DRAWING: u8 = 130;

/// Draws it.
#[must_use]
pub fn placeholder((width, height): (u32, u32)) -> Picture {
    let mut picture = Picture::new(width, height);
    // In units of a 32nd of the shorter side, from the middle.
    let unit = f64::from(width.min(height).max(1)) / 32.0;
    for (y, row) in (0_u32..).zip(picture.y.chunks_exact_mut(width.max(1) as usize)) {
        for (x, sample) in (0_u32..).zip(row) {
            let across = (f64::from(x) + 0.5 - f64::from(width) / 2.0) / unit;
            let down = (f64::from(y) + 0.5 - f64::from(height) / 2.0) / unit;
            *sample = if is_drawn(across, down) { DRAWING } else { GROUND };
        }
    }
    picture
}

fn is_drawn(across: f64, down: f64) -> bool {
    let stroke = (across - down).abs();
    // The stroke lies free of what it crosses.
    if across.abs() < 7.5 && stroke < 1.8 {
        return stroke < 0.7;
    }
    let body = (-6.5..2.5).contains(&across) && down.abs() < 4.5;
    let lens = (3.2..6.5).contains(&across) && down.abs() < 1.2 + 0.7 * (across - 3.2);
    body || lens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_drawing_in_grey_at_any_size() {
        for size in [(1_280, 720), (33, 17), (720, 1_280)] {
            let picture = placeholder(size);
            assert!(picture.is_consistent());
            assert!(picture.y.contains(&DRAWING) && picture.y.contains(&GROUND), "{size:?}");
            assert!(picture.u.iter().chain(&picture.v).all(|chroma| *chroma == 128));
        }
    }
}
