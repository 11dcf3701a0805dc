//! visavis-relay
