//! The one picture format of the program: planar 4:2:0, 8 bits, tightly packed.
//!
//! Plain data that any thread may own. It is handed from stage to stage by moving it, and its buffers are
//! reused: [`Picture::resize`] allocates only when the size really changes.

/// A picture in planes Y, U, V, without padding between rows.
///
/// `y` is `width * height` bytes; `u` and `v` are `chroma_width() * chroma_height()` bytes each. Values are
/// "limited range" (luma 16..=235, chroma 16..=240 around 128), the form cameras and H.264 use by default.
/// The fields are public so that stages can borrow the planes separately; whoever builds one by hand keeps the
/// lengths right, and [`Picture::is_consistent`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in luma samples.
    pub width: u32,
    /// Height in luma samples.
    pub height: u32,
    /// Luma, `width * height` bytes, top row first.
    pub y: Vec<u8>,
    /// Blue difference, `chroma_width() * chroma_height()` bytes.
    pub u: Vec<u8>,
    /// Red difference, `chroma_width() * chroma_height()` bytes.
    pub v: Vec<u8>,
}

impl Picture {
    /// A black picture of `width` x `height` luma samples. Any size is allowed, also odd or zero.
    #[must_use]
    pub fn new(width: u32, height: u32) -> Self {
        let mut picture = Self { width: 0, height: 0, y: Vec::new(), u: Vec::new(), v: Vec::new() };
        picture.resize(width, height);
        picture
    }

    /// Width of the two chroma planes: half the luma width, rounded up.
    #[must_use]
    pub const fn chroma_width(&self) -> u32 {
        self.width.div_ceil(2)
    }

    /// Height of the two chroma planes: half the luma height, rounded up.
    #[must_use]
    pub const fn chroma_height(&self) -> u32 {
        self.height.div_ceil(2)
    }

    /// Makes the picture `width` x `height`. When the size changes the content becomes black; when it does not,
    /// nothing happens, so that a decoder can call this before every picture.
    pub fn resize(&mut self, width: u32, height: u32) {
        if self.width == width && self.height == height && self.is_consistent() {
            return;
        }
        self.width = width;
        self.height = height;
        let luma = width as usize * height as usize;
        let chroma = self.chroma_width() as usize * self.chroma_height() as usize;
        for (plane, length, black) in
            [(&mut self.y, luma, 16), (&mut self.u, chroma, 128), (&mut self.v, chroma, 128)]
        {
            plane.clear();
            plane.resize(length, black);
        }
    }

    /// Whether the planes have the lengths that `width` and `height` demand.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let luma = self.width as usize * self.height as usize;
        let chroma = self.chroma_width() as usize * self.chroma_height() as usize;
        self.y.len() == luma && self.u.len() == chroma && self.v.len() == chroma
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_picture_is_black_and_odd_sizes_round_chroma_up() {
        let picture = Picture::new(17, 5);
        assert_eq!((picture.chroma_width(), picture.chroma_height()), (9, 3));
        assert_eq!((picture.y.len(), picture.u.len(), picture.v.len()), (85, 27, 27));
        assert!(picture.y.iter().all(|&y| y == 16));
        assert!(picture.u.iter().chain(&picture.v).all(|&c| c == 128));
    }

    #[test]
    fn resizing_to_the_same_size_keeps_the_content() {
        let mut picture = Picture::new(32, 16);
        picture.y[7] = 99;
        picture.resize(32, 16);
        assert_eq!(picture.y[7], 99);
        picture.resize(16, 16);
        assert!(picture.is_consistent());
        assert!(picture.y.iter().all(|&y| y == 16));
    }
}
