//! Whatever happens in whatever order: what must never follow.
