//! The edge: one folder per Azure function, the controller behind them, the command line.

// What the functions share.
pub mod assemble;
pub mod controller;
pub mod drill;
pub mod edge;
pub mod normalise;
pub mod stamp;

// What people use, and what stands in for the host on one machine.
pub mod page;
pub mod cli;
pub mod local;

// One folder per function; the folder's name is the function's name and its route.
pub mod azure_monitor_alert;
pub mod azure_monitor_stream;
pub mod cloud_event;
pub mod cosmos_region_status;
pub mod evaluate;
pub mod evaluate_timer;
pub mod event_grid_signal;
pub mod front_door_probe;
pub mod notify;
pub mod observe_stamps;
pub mod operator;
pub mod publish_audit;
pub mod stamp_health;
pub mod telemetry;
