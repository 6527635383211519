//! The policies that others use, each with the defaults of its documentation.

pub(crate) mod alert;
pub(crate) mod front_door;
pub(crate) mod health_check;
pub(crate) mod orchestrator;
pub(crate) mod outlier;
