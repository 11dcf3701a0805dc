//! The generated picture: somebody in front of a wall, filmed by a hand that is not quite still.

use super::Random;
use crate::Picture;

/// A moving, textured, noisy picture for any frame number. See the [module](super) for what it is for.
///
/// Rendering a 720p frame takes one to two milliseconds: textures and noise are made once, a frame only moves them.
#[derive(Debug, Clone)]
pub struct Scene {
    seed: u64,
    width: usize,
    height: usize,
    /// Luma of the wall, larger than the picture by [`SWAY`] on every side.
    wall: Texture,
    /// Luma of skin and clothes.
    cloth: Texture,
    /// Sensor noise, added from another place at every row of every frame.
    noise: Vec<i8>,
}

/// How far the camera sways, in samples, each way.
const SWAY: usize = 24;
/// Length of the noise buffer beyond one row: enough places that rows do not visibly repeat.
const NOISE_PLACES: usize = 8192;

impl Scene {
    /// A scene of `width` x `height` luma samples; `seed` chooses wall, clothes and noise.
    #[must_use]
    pub fn new(width: u32, height: u32, seed: u64) -> Self {
        let (width, height) = (width as usize, height as usize);
        let mut random = Random::new(seed);
        let wall = Texture::new(width + 2 * SWAY, height + 2 * SWAY, 44, &mut random);
        // A multiple of every octave's cell, because it is laid side by side.
        let cloth = Texture::new(576, 576, 30, &mut random);
        let noise = (0..width + NOISE_PLACES)
            .map(|_| {
                // The sum of four even draws is nearly a bell curve: deviation about 2 levels, as webcams have.
                let sum: u64 = (0..4).map(|_| random.below(4)).sum();
                sum as i8 - 6
            })
            .collect();
        Self { seed, width, height, wall, cloth, noise }
    }

    /// Draws frame `frame` (30 of them look like a second) into `out`, which takes on the scene's size.
    pub fn render(&mut self, frame: u64, out: &mut Picture) {
        out.resize(self.width as u32, self.height as u32);
        if self.width == 0 || self.height == 0 {
            return;
        }
        let person = Person::at(frame, self.width as i32, self.height as i32);
        let sway_x = (SWAY as i32 + wave(frame, 97, 14) + wave(frame, 31, 6)) as usize;
        let sway_y = (SWAY as i32 + wave(frame, 71, 10) + wave(frame, 23, 4)) as usize;
        let mut random = Random::new(self.seed ^ frame.wrapping_mul(0xa076_1d64_78bd_642f));
        for (row, line) in out.y.chunks_exact_mut(self.width).enumerate() {
            line.copy_from_slice(&self.wall.row(row + sway_y)[sway_x..][..self.width]);
            for part in &person.parts {
                part.draw_luma(row as i32, line, &self.cloth);
            }
            let place = random.below(NOISE_PLACES as u64) as usize;
            for (sample, &noise) in line.iter_mut().zip(&self.noise[place..]) {
                // 16..=235 stays limited range.
                *sample = (i16::from(*sample) + i16::from(noise)).clamp(16, 235) as u8;
            }
        }
        self.render_chroma(&person, sway_x, sway_y, out);
    }

    fn render_chroma(&self, person: &Person, sway_x: usize, sway_y: usize, out: &mut Picture) {
        let width = out.chroma_width() as usize;
        let rows = out.u.chunks_exact_mut(width).zip(out.v.chunks_exact_mut(width));
        for (row, (u, v)) in rows.enumerate() {
            // The wall's tint follows its own structure, at a coarser place, so that chroma moves as well.
            let tint = &self.wall.row((row + sway_y / 2) % self.wall.height)[sway_x / 2..][..width];
            for ((u, v), &tint) in u.iter_mut().zip(v.iter_mut()).zip(tint) {
                *u = 118 + tint / 16;
                *v = 138 - tint / 16;
            }
            for part in &person.parts {
                part.draw_chroma(row as i32 * 2, u, v);
            }
        }
    }
}

/// Value noise in three octaves with the whole range of sizes from blotches to grain.
#[derive(Debug, Clone)]
struct Texture {
    width: usize,
    height: usize,
    samples: Vec<u8>,
}

impl Texture {
    fn new(width: usize, height: usize, contrast: i32, random: &mut Random) -> Self {
        let mut levels = vec![0i32; width * height];
        for (cell, weight) in [(96, 4), (24, 2), (6, 1)] {
            add_octave(&mut levels, width, cell, weight * contrast, random);
        }
        let samples = levels.into_iter().map(|level| (118 + level / 512).clamp(24, 220) as u8).collect();
        Self { width, height, samples }
    }

    fn row(&self, row: usize) -> &[u8] {
        &self.samples[row * self.width..][..self.width]
    }
}

/// Adds bilinear noise with grid points `cell` samples apart; amplitude is about `weight` / 512 * 128 levels. Where a side
/// is a multiple of `cell`, its end meets its beginning without a seam.
fn add_octave(levels: &mut [i32], width: usize, cell: usize, weight: i32, random: &mut Random) {
    if width == 0 {
        return;
    }
    let points = |samples: usize| samples / cell + if samples.is_multiple_of(cell) { 0 } else { 2 };
    let (columns, rows) = (points(width), points(levels.len() / width));
    let grid: Vec<i32> = (0..columns * rows).map(|_| random.below(257) as i32 - 128).collect();
    let size = cell as i32;
    for (y, line) in levels.chunks_exact_mut(width).enumerate() {
        let (top, down) = (y / cell * columns, (y % cell) as i32);
        let bottom = (y / cell + 1) % rows * columns;
        for (x, level) in line.iter_mut().enumerate() {
            let (left, next, right) = (x / cell, (x / cell + 1) % columns, (x % cell) as i32);
            let above = grid[top + left] * (size - right) + grid[top + next] * right;
            let below = grid[bottom + left] * (size - right) + grid[bottom + next] * right;
            *level += weight * (above * (size - down) + below * down) / (size * size);
        }
    }
}

/// Where everything of the person is in one frame.
struct Person {
    parts: [Ellipse; 7],
}

impl Person {
    fn at(frame: u64, width: i32, height: i32) -> Self {
        // Everything is in 1/64 of the picture height, so that all sizes show the same scene.
        let unit = |n: i32| n * height / 64;
        let middle = width / 2 + wave(frame, 151, unit(6));
        let head_x = middle + wave(frame, 53, unit(3));
        let head_y = unit(24) + wave(frame, 37, unit(1));
        // A mouth that speaks: fast and slow opening together.
        let open = unit(1) + (wave(frame, 7, unit(2)) + wave(frame, 17, unit(2))).abs() / 2;
        let blink = if frame % 89 < 4 { 1 } else { unit(1) + 1 };
        let part = |x, y, rx, ry, shade, u, v| Ellipse { x, y, rx, ry, shade, u, v };
        let hand_x = middle + unit(20) + wave(frame, 29, unit(8));
        let hand_y = unit(48) + wave(frame, 41, unit(6));
        Self {
            parts: [
                part(middle, unit(68), unit(28), unit(26), -30, 142, 116),
                part(head_x, head_y - unit(4), unit(13), unit(15), -62, 124, 132),
                part(head_x, head_y, unit(11), unit(14), 34, 112, 150),
                part(head_x - unit(4), head_y - unit(3), unit(2), blink, -50, 126, 130),
                part(head_x + unit(4), head_y - unit(3), unit(2), blink, -50, 126, 130),
                part(head_x, head_y + unit(7), unit(4), open, -40, 116, 160),
                part(hand_x, hand_y, unit(6), unit(5), 30, 112, 150),
            ],
        }
    }
}

/// A filled ellipse; its texture moves with it.
struct Ellipse {
    x: i32,
    y: i32,
    rx: i32,
    ry: i32,
    shade: i16,
    u: u8,
    v: u8,
}

impl Ellipse {
    fn draw_luma(&self, row: i32, line: &mut [u8], cloth: &Texture) {
        let Some((left, right)) = self.span(row, line.len() as i32) else { return };
        let texture = cloth.row((row - self.y).rem_euclid(cloth.height as i32) as usize);
        let mut at = (left - self.x).rem_euclid(cloth.width as i32) as usize;
        let mut rest = &mut line[left as usize..right as usize];
        while !rest.is_empty() {
            let run = rest.len().min(texture.len() - at);
            let (now, later) = rest.split_at_mut(run);
            for (sample, &texture) in now.iter_mut().zip(&texture[at..]) {
                *sample = (i16::from(texture) + self.shade).clamp(16, 235) as u8;
            }
            rest = later;
            at = 0;
        }
    }

    fn draw_chroma(&self, luma_row: i32, u: &mut [u8], v: &mut [u8]) {
        let Some((left, right)) = self.span(luma_row, u.len() as i32 * 2) else { return };
        let (left, right) = (left as usize / 2, right as usize / 2);
        u[left..right].fill(self.u);
        v[left..right].fill(self.v);
    }

    /// First and one past the last sample of the ellipse in `row`, cut to the line.
    fn span(&self, row: i32, width: i32) -> Option<(i32, i32)> {
        let (ry, dy) = (i64::from(self.ry.max(1)), i64::from(row - self.y));
        if dy.abs() > ry {
            return None;
        }
        let half = (i64::from(self.rx).pow(2) * (ry * ry - dy * dy)).isqrt() / ry;
        let left = (i64::from(self.x) - half).clamp(0, i64::from(width)) as i32;
        let right = (i64::from(self.x) + half + 1).clamp(0, i64::from(width)) as i32;
        (left < right).then_some((left, right))
    }
}

/// A smooth swing between -`amplitude` and `amplitude` every `period` frames: two parabolas, nearly a sine, and
/// in integers, so that all machines agree.
fn wave(frame: u64, period: u64, amplitude: i32) -> i32 {
    let phase = (frame % period * 4096 / period) as i64 - 2048;
    // -4 x (1 - |x|) for x in -1..1, scaled by 2048 squared.
    let height = -4 * phase * (2048 - phase.abs());
    (i64::from(amplitude) * height / (2048 * 2048)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_frame_give_the_same_picture() {
        let (mut a, mut b) = (Picture::new(0, 0), Picture::new(0, 0));
        Scene::new(321, 181, 7).render(1000, &mut a);
        let mut second = Scene::new(321, 181, 7);
        second.render(3, &mut b);
        second.render(1000, &mut b);
        assert!(a == b && a.is_consistent());
        Scene::new(321, 181, 8).render(1000, &mut b);
        assert!(a != b);
    }

    #[test]
    fn every_frame_differs_from_the_one_before_everywhere() {
        let mut scene = Scene::new(640, 360, 1);
        let (mut before, mut now) = (Picture::new(0, 0), Picture::new(0, 0));
        scene.render(0, &mut before);
        for frame in 1..120 {
            scene.render(frame, &mut now);
            for (a, b) in before.y.chunks(640 * 60).zip(now.y.chunks(640 * 60)) {
                let changed = a.iter().zip(b).filter(|(a, b)| a != b).count();
                assert!(changed > a.len() / 2, "frame {frame}: {changed} of {}", a.len());
            }
            std::mem::swap(&mut before, &mut now);
        }
    }

    #[test]
    fn there_is_texture_everywhere() {
        let mut picture = Picture::new(0, 0);
        Scene::new(640, 360, 3).render(10, &mut picture);
        for (top, left) in (0..320).step_by(40).flat_map(|top| (0..600).step_by(40).map(move |left| (top, left))) {
            let block = (top..top + 40).flat_map(|row| &picture.y[row * 640 + left..][..40]);
            let (low, high) = block.fold((255, 0), |(low, high), &y| (y.min(low), y.max(high)));
            assert!(high - low > 8, "flat at {left},{top}");
        }
    }

    #[test]
    fn tiny_and_empty_sizes_do_not_panic() {
        for (width, height) in [(0, 0), (1, 1), (16, 16), (2, 64), (64, 2), (1920, 2)] {
            let mut picture = Picture::new(0, 0);
            Scene::new(width, height, 0).render(u64::MAX, &mut picture);
            assert_eq!((picture.width, picture.height), (width, height));
        }
    }
}
