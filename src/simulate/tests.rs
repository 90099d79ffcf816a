//! What the simulator promises, seen through a socket.

mod client;
mod dialects;
mod misbehaviour;
mod referee;
mod rig;
