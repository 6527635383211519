//! The incident report as Markdown.

use std::fmt::Write as _;

use super::{ClientFigures, Report};

/// The report for a reader.
pub fn markdown(report: &Report) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "# {}\n\n{}. Seed {}, {} of simulated time.\n",
        report.scenario,
        report.title,
        report.seed,
        clock(report.duration_s)
    );
    times(&mut text, report);
    clients(&mut text, report);
    capacity_and_audit(&mut text, report);
    let _ = writeln!(text, "## Timeline\n");
    for moment in &report.timeline {
        let who = moment.stamp.as_ref().map(|stamp| format!("**{stamp}** ")).unwrap_or_default();
        let _ = writeln!(text, "- {} {who}{} (record {})", clock(moment.t), moment.text, moment.seq);
    }
    let _ = writeln!(
        text,
        "\n## At the end\n\n| stamp | stage | gate | origin | floor of ours |\n| --- | --- | --- | --- | --- |"
    );
    for (stamp, end) in &report.end {
        let origin = end.origin.as_deref().unwrap_or("not read");
        let floor = end.floor.map_or_else(|| "none".to_owned(), |floor| floor.to_string());
        let _ = writeln!(text, "| {stamp} | {} | {} % | {origin} | {floor} |", end.stage, end.gate_percent);
    }
    let _ = writeln!(text, "\n## The world's lags\n\n| what | how long | source |\n| --- | --- | --- |");
    for lag in &report.lags {
        let _ = writeln!(text, "| {} | {} | {} |", lag.name, lag.value, lag.source);
    }
    text
}

/// Seconds as `h:mm:ss`.
pub(super) fn clock(seconds: u32) -> String {
    format!("{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

fn times(text: &mut String, report: &Report) {
    let Some(subject) = &report.subject else {
        let _ = writeln!(text, "No stamp was taken out.\n");
        return;
    };
    let times = &report.times;
    let _ = writeln!(
        text,
        "## Times of {subject}\n\n| what | at | after the first symptom |\n| --- | --- | --- |"
    );
    let mut row = |what: &str, at: Option<u32>| {
        let after = at
            .zip(times.first_symptom_s)
            .map(|(at, symptom)| format!("{} s", i64::from(at) - i64::from(symptom)));
        let at = at.map_or_else(|| "did not happen".to_owned(), clock);
        let _ = writeln!(text, "| {what} | {at} | {} |", after.unwrap_or_default());
    };
    row("first symptom", times.first_symptom_s);
    row("Front Door's own drop (99 % of the traffic)", times.front_door_drop_s);
    row("first signal", times.first_signal_s);
    row("decision", times.decision_s);
    row("pre-scale asked for", times.prescale_s);
    row("gate written and read back", times.gate_written_s);
    row("gate effective (99 % of the traffic)", times.gate_effective_s);
    row("capacity ready", times.capacity_ready_s);
    row("origin disabled, read back", times.origin_disabled_s);
    row("origin disabled at the edge (99 %)", times.origin_disabled_effective_s);
    row("healthy again", times.healthy_again_s);
    row("origin enabled, read back", times.origin_enabled_s);
    for (percent, at) in &times.slices_s {
        row(&format!("slice of {percent} % open"), Some(*at));
    }
    for (percent, at) in &times.step_backs_s {
        row(&format!("stepped back at {percent} %"), Some(*at));
    }
    row("fully serving", times.fully_serving_s);
    let own = if times.prescale_in_cordon_commit {
        "in the cordon's own commit"
    } else {
        "not in the cordon's own commit"
    };
    let _ = writeln!(
        text,
        "\nThe pre-scale request was {own}. Origin changes sent: {}; origin reads: {}.\n",
        list(&report.origin_patches),
        report.origin_reads
    );
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join("; ") }
}

fn clients(text: &mut String, report: &Report) {
    let _ = writeln!(
        text,
        "## What clients felt\n\n| phase | clients | failed with | failed without | p99 with | p99 without |\n| --- | --- | --- | --- | --- | --- |"
    );
    for (name, phase) in &report.clients {
        for (who, with) in &phase.with_cordon {
            let Some(without) = phase.without_cordon.get(who) else { continue };
            let span = format!("{name} ({} to {})", clock(phase.from_s), clock(phase.until_s));
            let _ = writeln!(
                text,
                "| {span} | {who} | {} | {} | {} | {} |",
                failed(with),
                failed(without),
                p99(with),
                p99(without)
            );
        }
    }
    let _ = writeln!(text);
}

fn failed(figures: &ClientFigures) -> String {
    let share = if figures.requests > 0.0 { figures.failed / figures.requests * 100.0 } else { 0.0 };
    format!("{:.0} ({share:.2} %)", figures.failed)
}

fn p99(figures: &ClientFigures) -> String {
    figures.p99_ms.map_or_else(|| "nothing served".to_owned(), |p99| format!("{p99:.0} ms"))
}

fn capacity_and_audit(text: &mut String, report: &Report) {
    let below = report.capacity_below_without;
    let _ = writeln!(
        text,
        "Effective capacity was below what it would have been without Cordon in {} s (at the worst by {:.0} requests/s).\n",
        below.seconds, below.worst_rps
    );
    let audit = &report.audit;
    let chain = if audit.chain_holds { "unbroken" } else { "BROKEN" };
    let _ = writeln!(
        text,
        "Audit: {} records, chain {chain}, {} decisions came out the same when run again.\n",
        audit.records, audit.replayed
    );
}
