//! The promises of the room, against a raw TCP server that does exactly what the test says.

mod rig;

mod asking;
mod connections;
mod patience;
mod streams;
