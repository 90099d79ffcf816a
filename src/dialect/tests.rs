//! The public face, from end to end.
