//! The list of workloads, where a process watches several.

use std::fmt::Write;

use super::html::{Frame, document, esc};
use super::status;
use crate::controller::Controllers;
use crate::edge::HttpReply;

/// One line each: its name, and what is happening there now. One that cannot be read says so and hides no other.
pub(super) async fn page(controllers: &Controllers, frame: Frame<'_>) -> HttpReply {
    let mut lines = Vec::new();
    for controller in controllers.iter() {
        let now = match status::now(controller).await {
            Ok(now) => now,
            Err(failure) => format!("cannot be read: {}", failure.text()),
        };
        lines.push((controller.policy.workload.name.clone(), now));
    }
    document(200, frame, "Workloads", |out| {
        out.write_str("<h1>Workloads</h1>\n<ul>\n")?;
        for (workload, now) in &lines {
            let (base, workload, now) = (esc(frame.base), esc(workload), esc(now));
            writeln!(out, "<li><a href=\"{base}/w/{workload}/status\">{workload}</a>: {now}</li>")?;
        }
        out.write_str("</ul>\n")
    })
}
