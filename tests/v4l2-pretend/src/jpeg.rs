//! A baseline JPEG of the scene. Its cells are flat, so each block is one coefficient: there is nothing to transform.

use crate::scene::Scene;

/// Encodes as 4:2:2, as webcams do; without its Huffman tables if `tables` is false, as many of them do.
pub fn encode(scene: &Scene, tables: bool) -> Vec<u8> {
    let mut out = vec![0xFF, 0xD8];
    // One table of quantisers for all: 8, so that a coefficient is a sample's distance from 128.
    segment(&mut out, 0xDB, &[&[0][..], &[8; 64]].concat());
    let [height, width] = [scene.height, scene.width].map(|size| (size as u16).to_be_bytes());
    let size = [height[0], height[1], width[0], width[1]];
    segment(&mut out, 0xC0, &[&[8][..], &size, &[3, 1, 0x21, 0, 2, 0x11, 0, 3, 0x11, 0]].concat());
    if tables {
        for (class, counts, symbols) in TABLES {
            let mut body = vec![class];
            body.extend_from_slice(counts);
            body.resize(17, 0);
            body.extend_from_slice(symbols);
            segment(&mut out, 0xC4, &body);
        }
    }
    segment(&mut out, 0xDA, &[3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0]);

    let mut bits = Bits { out, held: 0, count: 0 };
    let mut before = [0; 3];
    for row in 0..scene.height.div_ceil(8) {
        for column in 0..scene.width.div_ceil(16) {
            let (u, v) = scene.chroma(column);
            for luma in [scene.luma(2 * column, row), scene.luma(2 * column + 1, row)] {
                bits.block(full_luma(luma), &mut before[0], &LUMA);
            }
            bits.block(full_chroma(u), &mut before[1], &CHROMA);
            bits.block(full_chroma(v), &mut before[2], &CHROMA);
        }
    }
    let mut out = bits.finish();
    out.extend([0xFF, 0xD9]);
    out
}

/// JPEG samples use the full range.
fn full_luma(limited: u8) -> i32 {
    (i32::from(limited) - 16) * 255 / 219 - 128
}

fn full_chroma(limited: u8) -> i32 {
    (i32::from(limited) - 128) * 255 / 224
}

fn segment(out: &mut Vec<u8>, marker: u8, body: &[u8]) {
    out.extend([0xFF, marker]);
    out.extend((body.len() as u16 + 2).to_be_bytes());
    out.extend(body);
}

/// The beginnings of the standard tables (ITU-T T.81 annex K.3): the codes used here are the same as in the whole.
const TABLES: [(u8, &[u8], &[u8]); 4] = [
    (0x00, &[0, 1, 5, 1, 1, 1, 1, 1, 1], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    (0x01, &[0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    (0x10, &[0, 2, 1, 3], &[1, 2, 3, 0, 4, 0x11]),
    (0x11, &[0, 2], &[0, 1]),
];

/// Codes of a component: of each difference's number of bits, and of "the rest is zero". Value and length.
struct Codes {
    difference: [(u32, u32); 10],
    end: (u32, u32),
}

const LUMA: Codes = Codes {
    difference: [
        (0b00, 2),
        (0b010, 3),
        (0b011, 3),
        (0b100, 3),
        (0b101, 3),
        (0b110, 3),
        (0b1110, 4),
        (0b1_1110, 5),
        (0b11_1110, 6),
        (0b111_1110, 7),
    ],
    end: (0b1010, 4),
};

const CHROMA: Codes = Codes {
    difference: [
        (0b00, 2),
        (0b01, 2),
        (0b10, 2),
        (0b110, 3),
        (0b1110, 4),
        (0b1_1110, 5),
        (0b11_1110, 6),
        (0b111_1110, 7),
        (0b1111_1110, 8),
        (0b1_1111_1110, 9),
    ],
    end: (0b00, 2),
};

struct Bits {
    out: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    fn block(&mut self, value: i32, before: &mut i32, codes: &Codes) {
        let difference = value - *before;
        *before = value;
        let size = 32 - difference.unsigned_abs().leading_zeros();
        let (code, length) = codes.difference[size as usize];
        self.put(code, length);
        let ones_complement = if difference < 0 { difference - 1 } else { difference } as u32;
        self.put(ones_complement & ((1 << size) - 1), size);
        self.put(codes.end.0, codes.end.1);
    }

    fn put(&mut self, value: u32, length: u32) {
        self.held = self.held << length | value;
        self.count += length;
        while self.count >= 8 {
            self.count -= 8;
            let byte = (self.held >> self.count) as u8;
            self.out.push(byte);
            if byte == 0xFF {
                self.out.push(0);
            }
            self.held &= (1 << self.count) - 1;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.put(0x7F, 7);
        self.out
    }
}
