//! The generated voice: syllables of a pulse train through three formants, with hisses and pauses.

use super::Random;

/// Speech-like sound, 48 kHz mono. See the [module](super) for what it is for.
///
/// It is a state machine: each call continues where the one before stopped, whatever the lengths asked for.
#[derive(Debug, Clone)]
pub struct Speech {
    random: Random,
    syllable: Syllable,
    /// Sample within the syllable.
    position: u32,
    /// Position within the pitch period, 0..1.
    phase: f32,
    formants: [Resonator; 3],
    hiss: Resonator,
}

const RATE: f32 = 48_000.0;

impl Speech {
    /// A voice; `seed` chooses what it says.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let syllable = Syllable::draw(&mut random);
        let mut this = Self {
            random,
            syllable,
            position: 0,
            phase: 0.0,
            formants: [Resonator::default(); 3],
            hiss: Resonator::default(),
        };
        this.tune();
        this
    }

    /// Writes the next samples. Peaks stay below half of full scale.
    pub fn fill(&mut self, out: &mut [i16]) {
        for sample in out {
            if self.position >= self.syllable.length {
                self.syllable = Syllable::draw(&mut self.random);
                self.position = 0;
                self.tune();
            }
            *sample = (self.next() * 9000.0).clamp(-16_000.0, 16_000.0) as i16;
            self.position += 1;
        }
    }

    fn next(&mut self) -> f32 {
        let syllable = self.syllable;
        let progress = self.position as f32 / syllable.length as f32;
        // Pitch falls a little over each syllable, as in speech.
        self.phase += syllable.pitch_hz * (1.05 - 0.1 * progress) / RATE;
        let pulse = if self.phase >= 1.0 {
            self.phase -= 1.0;
            1.0
        } else {
            0.0
        };
        let noise = self.random.signed();
        let breath = noise * 0.004;
        let voiced: f32 = self.formants.iter_mut().map(|formant| formant.run(pulse + breath)).sum();
        let hiss = self.hiss.run(noise);
        let envelope = 4.0 * progress * (1.0 - progress);
        let room = noise * 0.0006;
        room + match syllable.sound {
            Sound::Vowel => voiced * 0.5 * envelope,
            // The consonant leads, the vowel follows.
            Sound::Hissed => {
                let consonant = (1.0 - 3.0 * progress).max(0.0);
                voiced * 0.5 * envelope * (1.0 - consonant) + hiss * 0.08 * consonant * (1.0 - consonant) * 4.0
            }
            Sound::Pause => 0.0,
        }
    }

    fn tune(&mut self) {
        for (formant, (hz, width_hz, gain)) in self.formants.iter_mut().zip(self.syllable.vowel) {
            formant.tune(hz, width_hz, gain);
        }
        self.hiss.tune(5_500.0, 2_500.0, 1.0);
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sound {
    Vowel,
    Hissed,
    Pause,
}

#[derive(Debug, Clone, Copy)]
struct Syllable {
    sound: Sound,
    /// In samples; a quarter of a second on average, the rate of syllables in speech.
    length: u32,
    pitch_hz: f32,
    /// Frequency, bandwidth and gain of each formant.
    vowel: [(f32, f32, f32); 3],
}

/// First three formants of common vowels (a, e, i, o, u, schwa), after Peterson and Barney (1952).
const VOWELS: [[f32; 3]; 6] = [
    [730.0, 1090.0, 2440.0],
    [530.0, 1840.0, 2480.0],
    [270.0, 2290.0, 3010.0],
    [570.0, 840.0, 2410.0],
    [300.0, 870.0, 2240.0],
    [490.0, 1350.0, 1690.0],
];

impl Syllable {
    fn draw(random: &mut Random) -> Self {
        let sound = match random.below(10) {
            0 | 1 => Sound::Pause,
            2..=5 => Sound::Hissed,
            _ => Sound::Vowel,
        };
        let [f1, f2, f3] = VOWELS[random.below(VOWELS.len() as u64) as usize];
        Self {
            sound,
            length: 8_400 + random.below(7_200) as u32,
            pitch_hz: 105.0 + random.below(60) as f32,
            vowel: [(f1, 90.0, 1.0), (f2, 110.0, 0.6), (f3, 170.0, 0.3)],
        }
    }
}

/// A two-pole resonator: y = g x + b y1 - c y2.
#[derive(Debug, Clone, Copy, Default)]
struct Resonator {
    gain: f32,
    b: f32,
    c: f32,
    y1: f32,
    y2: f32,
}

impl Resonator {
    fn tune(&mut self, hz: f32, width_hz: f32, gain: f32) {
        let turn = std::f32::consts::TAU / RATE;
        let radius = 1.0 - 0.5 * width_hz * turn;
        self.b = 2.0 * radius * cosine(hz * turn);
        self.c = radius * radius;
        // A pulse then rings at about `gain`, whatever the frequency.
        self.gain = gain * hz * turn;
    }

    fn run(&mut self, x: f32) -> f32 {
        let y = self.gain * x + self.b * self.y1 - self.c * self.y2;
        self.y2 = self.y1;
        self.y1 = y;
        y
    }
}

/// Cosine by its series, good to 1e-5 below one radian: the platform's own may differ in the last bit.
fn cosine(x: f32) -> f32 {
    let xx = x * x;
    1.0 - xx / 2.0 + xx * xx / 24.0 - xx * xx * xx / 720.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_says_the_same_however_it_is_asked() {
        let mut whole = vec![0; 48_000];
        Speech::new(5).fill(&mut whole);
        let mut speech = Speech::new(5);
        let mut pieces = vec![0; 48_000];
        pieces.chunks_mut(481).for_each(|piece| speech.fill(piece));
        assert_eq!(whole, pieces);
        let mut other = vec![0; 48_000];
        Speech::new(6).fill(&mut other);
        assert_ne!(whole, other);
    }

    #[test]
    fn it_is_loud_at_times_quiet_at_others_and_never_clips_or_rings() {
        let mut sound = vec![0; 48_000 * 30];
        Speech::new(1).fill(&mut sound);
        let levels: Vec<f64> = sound
            .chunks(4_800)
            .map(|chunk| (chunk.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / 4_800.0).sqrt())
            .collect();
        let loud = levels.iter().filter(|&&level| level > 600.0).count();
        let quiet = levels.iter().filter(|&&level| level < 60.0).count();
        assert!(loud > levels.len() / 4, "{loud} loud of {}", levels.len());
        assert!(quiet > levels.len() / 20, "{quiet} quiet of {}", levels.len());
        assert!(sound.iter().all(|s| s.unsigned_abs() < 16_000));
    }
}
