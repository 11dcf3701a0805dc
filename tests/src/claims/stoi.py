"""Short-time objective intelligibility of a recording against its source: stoi.py SOURCE.wav RECORDED.wav

The recording begins with the call; what it begins with is somewhere in the source, which was played over and over,
and the playout may have stretched what came. So the recording is cut into pieces of 5 s, each aligned with the source
by cross-correlation on its own. Prints the mean over the pieces; a silent one counts as what it is worth.
"""

import sys

import numpy
from pystoi import stoi
from scipy.io import wavfile
from scipy.signal import correlate, resample_poly

RATE = 16_000
PIECE = 5 * RATE


def load(path):
    rate, samples = wavfile.read(path)
    samples = samples.astype(numpy.float64)
    if samples.ndim > 1:
        samples = samples.mean(axis=1)
    divisor = numpy.gcd(rate, RATE)
    return resample_poly(samples, RATE // divisor, rate // divisor)


source = load(sys.argv[1])
recorded = load(sys.argv[2])
# Long enough that a piece never wraps around, wherever in the loop it begins.
loop = numpy.tile(source, 2 + PIECE // len(source))
values = []
for start in range(0, len(recorded) - PIECE, PIECE):
    piece = recorded[start : start + PIECE]
    lag = int(numpy.argmax(correlate(loop, piece, mode="valid")))
    values.append(stoi(loop[lag : lag + PIECE], piece, RATE, extended=False))
print(float(numpy.mean(values)) if values else 0.0)
