//! visavis
