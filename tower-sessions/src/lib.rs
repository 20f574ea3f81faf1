#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod layout;
mod loads;
mod store;

pub use store::CloakroomStore;
