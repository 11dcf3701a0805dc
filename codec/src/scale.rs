//! To a smaller size, for a camera whose pictures are larger than a call wants: `fast_image_resize` (SIMD), plane by
//! plane.
//!
//! The filter is a box as wide as the step: every sample counts once, so that nothing flickers or aliases, and it is the
//! cheapest there is.

use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8,
};

use crate::{Picture, raw::PlanesMut};

/// The planes that were given do not have the lengths that their sizes demand, or have no samples at all.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error("a picture of {from:?} cannot be scaled to {to:?}")]
pub struct WrongSize {
    from: (u32, u32),
    to: (usize, usize),
}

/// The largest size within `most` that has the shape of `size` and even sides; `size` itself if that fits, whatever its
/// sides.
#[must_use]
pub fn fitted(size: (u32, u32), most: (u32, u32)) -> (u32, u32) {
    if size.0 <= most.0 && size.1 <= most.1 {
        return size;
    }
    let (width, height) = (u64::from(size.0), u64::from(size.1));
    let (most_width, most_height) = (u64::from(most.0), u64::from(most.1));
    let (width, height) = if width * most_height >= height * most_width {
        (most_width, height * most_width / width.max(1))
    } else {
        (width * most_height / height.max(1), most_height)
    };
    // At most `most`, which are 32 bits.
    let even = |side: u64| (side as u32 & !1).max(2);
    (even(width), even(height))
}

/// Scales pictures, for the memory that it keeps from picture to picture.
#[derive(Debug, Default)]
pub struct Scaler(Resizer);

impl Scaler {
    /// Scales `picture` to the size of `out`.
    ///
    /// # Errors
    ///
    /// [`WrongSize`]; `out` is then partly written.
    pub fn scale(&mut self, picture: &Picture, out: &mut PlanesMut<'_>) -> Result<(), WrongSize> {
        let wrong = WrongSize { from: (picture.width, picture.height), to: (out.width, out.height) };
        let (width, height) = (u32::try_from(out.width), u32::try_from(out.height));
        let (Ok(width), Ok(height)) = (width, height) else { return Err(wrong) };
        let from = (picture.width, picture.height);
        let from_chroma = (picture.chroma_width(), picture.chroma_height());
        let chroma = (width.div_ceil(2), height.div_ceil(2));
        self.plane(&picture.y, from, out.y, (width, height)).ok_or(wrong)?;
        self.plane(&picture.u, from_chroma, out.u, chroma).ok_or(wrong)?;
        self.plane(&picture.v, from_chroma, out.v, chroma).ok_or(wrong)
    }

    fn plane(&mut self, from: &[u8], size: (u32, u32), out: &mut [u8], to: (u32, u32)) -> Option<()> {
        // It would scale nothing without a word.
        let nothing = [size.0, size.1, to.0, to.1].contains(&0);
        let from = TypedImageRef::<U8>::from_buffer(size.0, size.1, from).ok().filter(|_| !nothing)?;
        let mut out = TypedImage::<U8>::from_buffer(to.0, to.1, out).ok()?;
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Box));
        // By the pixel's type: the general way would compile every type there is, which takes more than a minute.
        self.0.resize_typed(&from, &mut out, &options).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_fitted_by_its_shape() {
        assert_eq!(fitted((1_920, 1_080), (1_280, 720)), (1_280, 720));
        assert_eq!(fitted((1_600, 1_200), (1_280, 720)), (960, 720));
        assert_eq!(fitted((720, 1_280), (1_280, 720)), (404, 720));
        assert_eq!(fitted((641, 479), (1_280, 720)), (641, 479), "what fits stays as it is");
        assert_eq!(fitted((4_000, 3), (640, 360)), (640, 2));
    }

    #[test]
    fn halves_keep_their_places_and_colours() {
        let mut picture = Picture::new(1_920, 1_080);
        for (x, y) in picture.y.iter_mut().enumerate() {
            *y = if x % 1_920 < 960 { 60 } else { 200 };
        }
        picture.u.fill(90);
        picture.v.fill(170);
        let mut small = Picture::new(1_280, 720);
        Scaler::default().scale(&picture, &mut PlanesMut::of(&mut small)).expect("fits");
        for row in small.y.chunks(1_280) {
            assert!(row[..638].iter().all(|y| *y == 60) && row[642..].iter().all(|y| *y == 200));
        }
        assert!(small.u.iter().all(|u| *u == 90) && small.v.iter().all(|v| *v == 170));
    }

    #[test]
    fn planes_that_do_not_fit_are_refused() {
        let mut picture = Picture::new(64, 48);
        picture.u.pop();
        assert!(Scaler::default().scale(&picture, &mut PlanesMut::of(&mut Picture::new(32, 24))).is_err());
        assert!(Scaler::default().scale(&Picture::new(0, 0), &mut PlanesMut::of(&mut Picture::new(32, 24))).is_err());
    }
}
