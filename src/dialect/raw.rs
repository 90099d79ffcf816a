//! Stub; the vendors' room replaces it.
