//! The front door: what is HTTP to us and what is not, where each limit lies, and one normal form for everything.

mod echo;
mod limits;
mod target;
mod vector;
mod vectors;
