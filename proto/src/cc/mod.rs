//! One hop's sending: what came, when the next packet may leave, whether another frame fits.
