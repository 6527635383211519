//! The decision core as tables: a world, some time, and what must have been decided.

mod values;
mod folding;
mod lint;
mod evidence;
mod leaving;
mod guards;
mod returning;
mod ledger;
mod capacity;
mod quota;
mod throughput;
mod modes;
mod epoch;
mod explanation;
mod properties;
mod stray;
mod drift;
mod deployment;
mod by_hand;
mod overriding;
mod notices;
mod planning;
mod fusion;
mod deciding;
