//! visavis-tests
