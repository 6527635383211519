//! Orders from the page: what can be ordered now, a page that says what an order would do, and taking it in. An order is
//! a signal like any other: recorded with who and why, obeyed at the next evaluation under the same safety rules.

use std::fmt::{self, Write};
use std::time::Duration;

use domain::decide::Situation;
use domain::judge::judge;
use domain::modes::{ModeCause, in_force};
use domain::overriding::Overridable;
use domain::policy::Mode;
use domain::state::{Stage, StampCase};
use domain::{Generation, ItemId, NOTE_CHARS_MAX, Order, StampId, Timestamp, capacity, explain};
use url::form_urlencoded;

use super::access::{Access, COOKIE, Caller, Identities, Proof, same};
use super::html::{document, esc};
use super::reasons::list;
use super::status::Picture;
use super::words::{plain_time, span};
use super::{Failure, Forecast, Place, View};
use crate::controller::{self, order};
use crate::edge::{HttpCall, HttpReply};

/// Pauses that are offered, in minutes.
const PAUSES_MIN: [u64; 6] = [15, 30, 60, 120, 480, 1_440];

/// The longest form: a dozen short fields.
const FORM_BYTES_MAX: usize = 16 * 1024;

/// What the form of an order, or the address of its page, says.
struct Draft {
    kind: &'static str,
    order: Order,
}

impl Draft {
    /// Reads the fields of an order.
    fn read<'a>(
        kind: &str,
        field: impl Fn(&str) -> Option<&'a str>,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let needs = |name: &str| {
            let text = field(name).map(str::trim).filter(|text| !text.is_empty());
            text.ok_or_else(|| Failure::BadParameter(format!("the order needs {name}=..")))
        };
        let stamp = || needs("stamp").map(StampId::new);
        let (kind, order) = match kind {
            "hold" => ("hold", Order::Hold { stamp: stamp()? }),
            "release" => ("release", Order::Release { stamp: stamp()? }),
            "cordon" => ("cordon", Order::Cordon { stamp: stamp()? }),
            "readmit" => ("readmit", Order::Readmit { stamp: stamp()? }),
            "acknowledge" => ("acknowledge", Order::Acknowledge { stamp: stamp()? }),
            "approve" => {
                let generation = generation(needs("generation")?)?;
                ("approve", Order::Approve { stamp: stamp()?, generation })
            }
            "override" => {
                let rule = serde_json::from_value(serde_json::Value::String(needs("rule")?.to_owned()))
                    .map_err(|_| {
                        Failure::BadParameter(
                            "rule=.. is none that may be overridden: S2, S3 or S6.".to_owned(),
                        )
                    })?;
                let generation = generation(needs("generation")?)?;
                ("override", Order::Override { stamp: stamp()?, rule, generation })
            }
            "pause" => {
                let minutes = field("minutes").unwrap_or("60").trim().parse().map_err(|_| {
                    Failure::BadParameter("minutes=.. is no number, such as minutes=60.".to_owned())
                })?;
                ("pause", Order::Pause { until: now + Duration::from_secs(60u64.saturating_mul(minutes)) })
            }
            "resume" => ("resume", Order::Resume),
            "mode" => {
                let word = |name: &str, text: &str| {
                    Failure::BadParameter(format!("{name}={text:?} is none of those on the page."))
                };
                let cause = field("cause").unwrap_or("hard_loss");
                let mode = field("mode").unwrap_or("observe");
                let quoted = |text: &str| serde_json::Value::String(text.to_owned());
                (
                    "mode",
                    Order::Mode {
                        cause: serde_json::from_value(quoted(cause)).map_err(|_| word("cause", cause))?,
                        mode: match mode {
                            "policy" => None,
                            mode => {
                                Some(serde_json::from_value(quoted(mode)).map_err(|_| word("mode", mode))?)
                            }
                        },
                    },
                )
            }
            _ => return Err(Failure::NotFound),
        };
        Ok(Self { kind, order })
    }

    fn stamp(&self) -> Option<&StampId> {
        stamp_of(&self.order)
    }
}

/// The stamp that an order is about.
pub(super) const fn stamp_of(order: &Order) -> Option<&StampId> {
    match order {
        Order::Hold { stamp }
        | Order::Release { stamp }
        | Order::Approve { stamp, .. }
        | Order::Acknowledge { stamp }
        | Order::Cordon { stamp }
        | Order::Readmit { stamp }
        | Order::Override { stamp, .. } => Some(stamp),
        Order::Pause { .. } | Order::Resume | Order::Mode { .. } => None,
    }
}

fn generation(text: &str) -> Result<Generation, Failure> {
    let parsed = text
        .split_once('.')
        .and_then(|(epoch, n)| Some(Generation { epoch: epoch.parse().ok()?, n: n.parse().ok()? }));
    parsed.ok_or_else(|| {
        Failure::BadParameter(format!("generation={text:?} is none, such as generation=1.42."))
    })
}

/// The orders that make sense about a stamp now.
pub(super) fn links(
    out: &mut String,
    picture: &Picture<'_>,
    stamp: &StampId,
    case: &StampCase,
    base: &str,
    caller: &Caller,
) -> fmt::Result {
    if !caller.may_order() {
        return Ok(());
    }
    let mut kinds: Vec<(&str, &str)> = Vec::new();
    let awaits = case.awaiting_approval.filter(|_| case.approval.is_none());
    match case.stage {
        Stage::Held => kinds.push(("release", "Release")),
        Stage::Serving | Stage::Suspect if case.by_hand.is_some() => {
            kinds.extend([("readmit", "Take the order back"), ("hold", "Hold")]);
        }
        Stage::Serving | Stage::Suspect => kinds.extend([("hold", "Hold"), ("cordon", "Cordon")]),
        Stage::Cordoned | Stage::Proving => kinds.extend([("readmit", "Re-admit early"), ("hold", "Hold")]),
        Stage::Evacuating | Stage::Readmitting => kinds.push(("hold", "Hold")),
    }
    let needs = domain::decide::Action::Hold { reason: domain::decide::HoldReason::NeedsAcknowledgement };
    if picture.judgement.decision.rulings.get(stamp).is_some_and(|ruling| ruling.action == needs) {
        kinds.push(("acknowledge", "Acknowledge"));
    }
    let (base, name) = (esc(base), esc(stamp));
    writeln!(out, "<ul class=\"acts\" aria-label=\"Orders about {name}\">")?;
    if let Some(generation) = awaits {
        writeln!(
            out,
            "<li><a class=\"button\" href=\"{base}/order/approve?stamp={name}&amp;generation={generation}\">Approve ...</a></li>"
        )?;
    }
    if let Some((rule, generation)) = case.overridable()
        && !case.overrides.contains_key(&rule)
    {
        writeln!(
            out,
            "<li><a class=\"button\" href=\"{base}/order/override?stamp={name}&amp;rule={rule:?}&amp;generation={generation}\">Override {rule:?} ...</a></li>"
        )?;
    }
    for (kind, label) in kinds {
        writeln!(
            out,
            "<li><a class=\"button\" href=\"{base}/order/{kind}?stamp={name}\">{label} ...</a></li>"
        )?;
    }
    out.write_str("</ul>\n")
}

/// The orders about the whole workload.
pub(super) fn workload_links(out: &mut String, picture: &Picture<'_>, view: &View<'_>) -> fmt::Result {
    if !view.frame.caller.may_order() {
        return Ok(());
    }
    let base = esc(view.frame.base);
    let paused = picture
        .situation
        .state
        .pause
        .as_ref()
        .is_some_and(|pause| pause.until > picture.situation.state.as_of);
    let (kind, label) =
        if paused { ("resume", "Resume the automation") } else { ("pause", "Pause the automation") };
    writeln!(
        out,
        "<h2>Automation</h2>\n<ul class=\"acts\" aria-label=\"Orders about the automation\">\n\
         <li><a class=\"button\" href=\"{base}/order/{kind}\">{label} ...</a></li>\n\
         <li><a class=\"button\" href=\"{base}/order/mode\">Change a mode ...</a></li>\n</ul>"
    )
}

/// The page that says what an order would do, and asks for the reason.
pub(super) async fn confirm(view: &View<'_>, call: &HttpCall, kind: &str) -> Result<HttpReply, Failure> {
    let caller = view.frame.caller;
    if !caller.may_order() {
        return Err(Failure::Forbidden("You may read here, and not give orders.".to_owned()));
    }
    let situation = controller::situation(view.controller).await?;
    let now = situation.state.as_of;
    let draft = Draft::read(kind, |name| call.query.get(name).map(String::as_str), now)?;
    let name = caller.name.as_deref().unwrap_or_default();
    let command = order::command(name, "to be given", draft.order.clone(), now);
    let preview = command
        .and_then(|command| order::with_order(view.controller, &situation, &order::item(command, now)));
    let title = question(&draft, &situation);
    Ok(document(200, view.frame, &title, |out| {
        writeln!(out, "<h1>{}</h1>", esc(&title))?;
        effect(out, &draft, &situation)?;
        match &preview {
            Err(refused) => {
                writeln!(out, "<p class=\"loud bad-edge\">It would be refused: {}</p>", esc(&refused.0))?;
                let base = esc(view.frame.base);
                writeln!(out, "<p><a class=\"button\" href=\"{base}/status\">Back</a></p>")
            }
            Ok(next) => {
                floor(out, &draft, view, next)?;
                consequences(out, view, next)?;
                form(out, view, &draft, now)
            }
        }
    }))
}

fn question(draft: &Draft, situation: &Situation) -> String {
    let workload = &situation.state.workload;
    match &draft.order {
        Order::Hold { stamp } => format!("Hold {stamp}?"),
        Order::Release { stamp } => format!("Release {stamp}?"),
        Order::Approve { stamp, .. } => format!("Approve the cordon of {stamp}?"),
        Order::Acknowledge { stamp } => format!("Acknowledge {stamp}, so that it may return?"),
        Order::Cordon { stamp } => format!("Take {stamp} out of rotation?"),
        Order::Readmit { stamp } => format!("Let {stamp} come back early?"),
        Order::Override { stamp, rule, .. } => {
            format!("Override safety rule {rule:?} and take {stamp} out all the same?")
        }
        Order::Pause { .. } => format!("Pause the automation of {workload}?"),
        Order::Resume => format!("Resume the automation of {workload}?"),
        Order::Mode { .. } => format!("Change a mode of {workload}?"),
    }
}

/// What it does, and how it is undone.
fn effect(out: &mut String, draft: &Draft, situation: &Situation) -> fmt::Result {
    let stage =
        draft.stamp().and_then(|stamp| situation.state.cases.get(stamp)).map(|case| match &case.hold {
            Some(hold) => explain::stage(hold.resume),
            None => explain::stage(case.stage),
        });
    let stage = stage.unwrap_or("unknown");
    let (does, undone) = match &draft.order {
        Order::Hold { .. } => (
            format!("It stays as it is ({stage}) until it is released: neither taken out nor let back, not even by the emergency return. What is in force there is renewed."),
            "by releasing it; obeyed at the next evaluation, within 10 s".to_owned(),
        ),
        Order::Release { .. } => (
            format!("It goes on as {stage}. If its evidence asks for a removal or a return, that is decided at once."),
            "by holding it again; a gate that moved meanwhile takes up to 90 s to move back".to_owned(),
        ),
        Order::Approve { generation, .. } => (
            format!("The cordon that generation {generation} held for approval goes ahead, although another region is out. The approval dies with that case: if the stamp recovers first, nothing happens."),
            "by re-admitting it early: its gate opens slice by slice, 90 s for the first".to_owned(),
        ),
        Order::Acknowledge { .. } => (
            "It may return once its window is over, although its automatic cordons of the day are used up; the count starts anew.".to_owned(),
            "by holding it".to_owned(),
        ),
        Order::Cordon { .. } => (
            "The others are asked to grow; when they can carry its load its gate closes. It stays out until you re-admit it. Confirmation and budget are not asked; every safety rule is, and a second region needs an approval of its own.".to_owned(),
            "by re-admitting it: its gate opens slice by slice, 90 s for the first".to_owned(),
        ),
        Order::Readmit { .. } => (
            "It comes back by slices as soon as it is healthy, without waiting for the end of its window. Each slice is watched, and closes again if it fails.".to_owned(),
            "by holding it, or it steps back by itself within 90 s if it fails".to_owned(),
        ),
        Order::Override { rule, generation, .. } => overriding(*rule, *generation),
        Order::Pause { until } => (
            format!("No automatic removals and no returns until {}. Renewals, pre-scaling and the emergency return go on.", plain_time(*until)),
            "by resuming; it ends by itself".to_owned(),
        ),
        Order::Resume => (
            "Removals and returns go on at the next evaluation; what waits for them is decided at once.".to_owned(),
            "by pausing again".to_owned(),
        ),
        Order::Mode { .. } => (
            "The mode stands over the policy's file until it is given back to it. What is in mode observe or advise is recorded and not done.".to_owned(),
            "by changing it back; obeyed at the next evaluation".to_owned(),
        ),
    };
    writeln!(
        out,
        "<dl class=\"facts\">\n<dt>Effect</dt><dd>{}</dd>\n<dt>Undone</dt><dd>{}</dd>\n</dl>",
        esc(does),
        esc(undone)
    )
}

/// What an override does, and how it is undone.
fn overriding(rule: Overridable, generation: Generation) -> (String, String) {
    let costs = match rule {
        Overridable::S2 => {
            "Its gate closes for everybody although the others cannot carry its load: what is too much for them fails, there \
             and for their own clients."
        }
        Overridable::S3 => {
            "It is taken out so soon after another region that nobody knows yet what that one's removal did."
        }
        Overridable::S6 => "It is taken out on evidence that had a gap a moment ago.",
    };
    (
        format!(
            "You set aside safety rule {rule:?} ({}) for this one removal, which generation {generation} held. {costs} The last \
             serving region stays whatever is overridden, and so it does in a freeze or where something cannot be read. The \
             override is void when it was not used within the policy's limits.plan_expiry. It is told to everybody who is notified.",
            rule.in_words()
        ),
        "by re-admitting it: its gate opens slice by slice, 90 s for the first; if what still serves fails, it comes back by itself"
            .to_owned(),
    )
}

/// What would still serve, and whether it can carry the load.
fn floor(out: &mut String, draft: &Draft, view: &View<'_>, next: &Situation) -> fmt::Result {
    let (Some(stamp), Order::Cordon { .. } | Order::Approve { .. } | Order::Override { .. }) =
        (draft.stamp(), &draft.order)
    else {
        return Ok(());
    };
    let state = &next.state;
    let policy = &view.controller.policy;
    let gone = state.cases.iter().filter(|(other, case)| *other == stamp || case.decided_at.is_some());
    let gone = gone.map(|(other, _)| other.clone()).collect();
    let shares = capacity::shares_without(state, &gone, policy);
    let lines: Vec<String> = shares
        .iter()
        .map(|(other, share)| {
            let ready = if share.is_ready() { "ready" } else { "not ready yet" };
            format!(
                "{other} would carry {:.0} requests/s and can carry {:.0} now: {ready}; it is asked for {} instances",
                share.demand_rps, share.ready_rps, share.instances_asked
            )
        })
        .collect();
    list(
        out,
        2,
        &format!("The floor without {stamp}: {} of {} regions", shares.len(), state.cases.len()),
        &lines,
    )?;
    if shares.is_empty() {
        out.write_str(
            "<p class=\"loud bad-edge\">Nothing else would serve: it is held, whatever is ordered.</p>\n",
        )?;
    }
    Ok(())
}

/// What the next evaluation would decide with the order taken, safety rules included.
fn consequences(out: &mut String, view: &View<'_>, next: &Situation) -> fmt::Result {
    let policy = in_force(&view.controller.policy, &next.state);
    let judgement = judge(next, &view.controller.policy);
    let forecast = Forecast::from_judgement(next, &judgement, &policy);
    writeln!(out, "<h2>The next evaluation would then decide</h2>\n<p>{}.</p>", esc(&forecast.headline))?;
    let steps: Vec<String> = forecast
        .steps
        .iter()
        .map(|step| format!("{} (undone within {})", step.text, span(Duration::from_secs(step.undo_s))))
        .collect();
    list(out, 3, "Steps", &steps)?;
    list(out, 3, "Refused by a safety rule", &forecast.refused)
}

fn form(out: &mut String, view: &View<'_>, draft: &Draft, now: Timestamp) -> fmt::Result {
    let base = esc(view.frame.base);
    let token = view.access.form_token(view.frame.caller, hour(now));
    writeln!(
        out,
        "<form class=\"order\" method=\"post\" action=\"{base}/order/{}\">\n<input type=\"hidden\" name=\"token\" value=\"{token}\">",
        draft.kind
    )?;
    if let Some(stamp) = draft.stamp() {
        writeln!(out, "<input type=\"hidden\" name=\"stamp\" value=\"{}\">", esc(stamp))?;
    }
    match &draft.order {
        Order::Approve { generation, .. } => {
            writeln!(out, "<input type=\"hidden\" name=\"generation\" value=\"{generation}\">")?;
        }
        Order::Override { stamp, rule, generation } => {
            let name = esc(stamp);
            writeln!(
                out,
                "<input type=\"hidden\" name=\"rule\" value=\"{rule:?}\"><input type=\"hidden\" name=\"generation\" value=\"{generation}\">\n\
                 <label for=\"confirm\">Write <strong>{name}</strong> to confirm that this stamp is meant.</label>\n\
                 <input id=\"confirm\" name=\"confirm\" required autocomplete=\"off\" spellcheck=\"false\">"
            )?;
        }
        Order::Pause { until } => pause_fields(out, until.since(now))?,
        Order::Mode { cause, mode } => mode_fields(out, view, *cause, *mode)?,
        _ => {}
    }
    writeln!(
        out,
        "<label for=\"reason\">Why? It is shown on the page and kept in the audit.</label>\n\
         <input id=\"reason\" name=\"reason\" required maxlength=\"{NOTE_CHARS_MAX}\" autocomplete=\"off\">\n\
         <p><button type=\"submit\" class=\"strong\">Give this order</button> <a class=\"button\" href=\"{base}/status\">Cancel</a></p>\n\
         <p class=\"soft\">Recorded as {}.</p>\n</form>",
        esc(view.frame.caller.name.as_deref().unwrap_or_default())
    )
}

fn pause_fields(out: &mut String, chosen: Duration) -> fmt::Result {
    out.write_str("<label>For how long? <select name=\"minutes\">")?;
    for minutes in PAUSES_MIN {
        let selected = if chosen.as_secs() == minutes * 60 { " selected" } else { "" };
        write!(
            out,
            "<option value=\"{minutes}\"{selected}>{}</option>",
            span(Duration::from_secs(minutes * 60))
        )?;
    }
    out.write_str("</select></label>\n")
}

fn mode_fields(out: &mut String, view: &View<'_>, cause: ModeCause, mode: Option<Mode>) -> fmt::Result {
    out.write_str("<label>Cause <select name=\"cause\">")?;
    for one in ModeCause::ALL {
        let selected = if one == cause { " selected" } else { "" };
        let file = explain::mode_in_words(one.mode(&view.controller.policy));
        let code = serde_json::to_value(one).unwrap_or_default();
        write!(
            out,
            "<option value=\"{}\"{selected}>{} (the policy says {file})</option>",
            esc(code.as_str().unwrap_or_default()),
            explain::cause_in_words(one)
        )?;
    }
    out.write_str("</select></label>\n<label>Mode <select name=\"mode\">")?;
    for one in [Some(Mode::Observe), Some(Mode::Advise), Some(Mode::Act), None] {
        let selected = if one == mode { " selected" } else { "" };
        let word = one.map_or("policy", explain::mode_in_words);
        let label = if one.is_none() { "as the policy says" } else { word };
        write!(out, "<option value=\"{word}\"{selected}>{label}</option>")?;
    }
    out.write_str("</select></label>\n")
}

/// The caller's token for now.
pub(super) fn token(view: &View<'_>) -> String {
    view.access.form_token(view.frame.caller, hour(view.controller.clock.now()))
}

fn hour(now: Timestamp) -> i64 {
    now.as_millis().div_euclid(3_600_000)
}

/// A form that came back.
pub(super) async fn post(view: &View<'_>, call: &HttpCall, place: &Place) -> Result<HttpReply, Failure> {
    let Some(("order", kind)) = place.rest.split_once('/') else {
        return Err(Failure::Method("GET, HEAD"));
    };
    if call.body.len() > FORM_BYTES_MAX {
        return Err(Failure::BadParameter("The form is longer than any of ours.".to_owned()));
    }
    let fields: Vec<(String, String)> = form_urlencoded::parse(&call.body).into_owned().collect();
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    permit(view, call, field("token").unwrap_or_default())?;
    let draft = Draft::read(kind, field, view.controller.clock.now())?;
    if let Order::Override { stamp, .. } = &draft.order
        && field("confirm").map(str::trim) != Some(stamp.as_str())
    {
        return Err(Failure::Refused(format!(
            "to override a safety rule, confirm it by the stamp's name, {stamp}"
        )));
    }
    let taken = give(view, draft.order, field("reason").unwrap_or_default()).await?;
    let base = view.frame.base;
    Ok(HttpReply::empty(303).with_header("Location", format!("{base}/status?ordered={taken}")))
}

/// Whether this caller may give this order in this way: the role, the origin, and the token of a page of ours.
pub(super) fn permit(view: &View<'_>, call: &HttpCall, token: &str) -> Result<(), Failure> {
    let caller = view.frame.caller;
    if !caller.may_order() {
        return Err(Failure::Forbidden("You may read here, and not give orders.".to_owned()));
    }
    if !view.access.is_same_origin(call) {
        return Err(Failure::Forbidden("The order came from another site's page.".to_owned()));
    }
    let now = view.controller.clock.now();
    if caller.proof == Proof::Ambient && !view.access.is_form_token(caller, hour(now), token) {
        return Err(Failure::Forbidden(
            "The form's token is missing, too old or somebody else's.".to_owned(),
        ));
    }
    Ok(())
}

/// Takes an order into the inbox, unless it would be refused.
pub(super) async fn give(view: &View<'_>, order: Order, reason: &str) -> Result<ItemId, Failure> {
    let controller = view.controller;
    let situation = controller::situation(controller).await?;
    let now = controller.clock.now();
    let name = view.frame.caller.name.as_deref().unwrap_or_default();
    let refused = |refused: order::OrderRefused| Failure::Refused(refused.0);
    let item = order::item(order::command(name, reason, order, now).map_err(refused)?, now);
    order::with_order(controller, &situation, &item).map_err(refused)?;
    controller.ledger.append(&controller.policy.workload.name, std::slice::from_ref(&item)).await?;
    tracing::info!(order.id = %item.id, order.by = name, "an order was taken; it is obeyed at the next evaluation");
    Ok(item.id)
}

/// The development token becomes a cookie that no other site's request carries.
pub(super) fn sign_in(access: &Access, call: &HttpCall, base: &str) -> Result<HttpReply, Failure> {
    let Identities::Development { token } = &access.identities else { return Err(Failure::NotFound) };
    let given = call.query.get("token").map(String::as_str).unwrap_or_default();
    if !same(given, token) {
        return Err(Failure::Forbidden(
            "That is not this process's token; it printed the address at its start.".to_owned(),
        ));
    }
    Ok(HttpReply::empty(303)
        .with_header("Set-Cookie", format!("{COOKIE}={token}; Path={base}; HttpOnly; SameSite=Strict"))
        .with_header("Location", format!("{base}/status")))
}
