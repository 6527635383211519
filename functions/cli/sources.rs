//! Where a command reads: the embedded stores when no process holds them, or the process that does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use adapters::embedded::{EmbeddedAudit, EmbeddedLedger};
use adapters::{AuditStore, Ledger};
use anyhow::{Context, bail, ensure};
use clap::Args;
use domain::audit::AuditRecord;
use domain::audit_line::{AuditLine, AuditQuery};
use domain::state::WorkloadState;
use domain::{Policy, Timestamp, WorkloadId};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::policy_file;
use crate::controller::order::OrderRefused;
use crate::page::{AUDIT_PAGE_MAX, OrderRequest, OrderTaken, Summary};

/// A page is judged in milliseconds; a process that takes longer hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// The policy that is used when none is named.
const POLICY: &str = "policy.toml";

/// Which ledger: a directory or a process.
#[derive(Args)]
pub(super) struct SourceArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// The token that `cordon serve` printed, for orders by --url; CORDON_TOKEN without it
    #[arg(long, requires = "url")]
    token: Option<String>,
    /// The policy file; `policy.toml` here by default
    #[arg(long)]
    policy: Option<PathBuf>,
    /// The workload, where no policy is at hand or a process watches several
    #[arg(long)]
    workload: Option<String>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct PlaceArgs {
    /// The directory of the stores, while no process holds them
    #[arg(long)]
    data: Option<PathBuf>,
    /// The running process, such as http://127.0.0.1:7071
    #[arg(long)]
    url: Option<String>,
}

/// An opened source.
pub(super) enum Source {
    /// Files, held by us.
    Files(Files),
    /// A process, asked over HTTP.
    Process(Process),
}

/// The stores of a directory.
pub(super) struct Files {
    /// The ledger.
    pub(super) ledger: EmbeddedLedger,
    /// The append-only copy, if there is one yet.
    pub(super) copy: Option<EmbeddedAudit>,
    /// Whose.
    pub(super) workload: WorkloadId,
}

/// A running controller.
pub(super) struct Process {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// The end of the chain as the state remembers it.
pub(super) struct Head {
    /// Seq of the last record.
    pub(super) seq: u64,
    /// Its hash.
    pub(super) hash: String,
}

impl SourceArgs {
    /// Opens what was named.
    pub(super) fn open(&self) -> anyhow::Result<Source> {
        match (&self.place.data, &self.place.url) {
            (Some(data), _) => {
                let ledger = open_ledger(data)?;
                let workload = self.workload()?;
                let copy = data.join("audit.redb");
                let copy = copy.exists().then(|| EmbeddedAudit::open(&copy)).transpose();
                let copy = copy.with_context(|| format!("open the audit's copy in {}", data.display()))?;
                Ok(Source::Files(Files { ledger, copy, workload }))
            }
            (None, Some(url)) => Ok(Source::Process(self.process_at(url)?)),
            (None, None) => bail!("give --data DIR or --url http://127.0.0.1:PORT"),
        }
    }

    /// The directory, if one was named.
    pub(super) fn data(&self) -> Option<&Path> {
        self.place.data.as_deref()
    }

    /// The process, if one was named.
    pub(super) fn process(&self) -> anyhow::Result<Option<Process>> {
        self.place.url.as_deref().map(|url| self.process_at(url)).transpose()
    }

    fn process_at(&self, url: &str) -> anyhow::Result<Process> {
        let token = self.token.clone().or_else(|| std::env::var("CORDON_TOKEN").ok());
        Process::new(url, self.workload.as_deref(), token)
    }

    /// The policy, where one was named or lies here.
    pub(super) fn policy(&self) -> anyhow::Result<Option<Policy>> {
        match &self.policy {
            Some(path) => policy_file::read(path).map(Some),
            None if Path::new(POLICY).exists() => policy_file::read(Path::new(POLICY)).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn workload(&self) -> anyhow::Result<WorkloadId> {
        workload(self.workload.as_deref(), self.policy.as_deref())
    }
}

/// The workload: named, or the policy's.
pub(super) fn workload(named: Option<&str>, policy: Option<&Path>) -> anyhow::Result<WorkloadId> {
    if let Some(named) = named {
        return Ok(WorkloadId::new(named));
    }
    let path = policy.unwrap_or(Path::new(POLICY));
    let policy =
        policy_file::read(path).context("find out which workload is meant: give --policy or --workload")?;
    Ok(policy.workload.name)
}

/// Opens a ledger that is there. A wrong path must not become an empty ledger.
pub(super) fn open_ledger(data: &Path) -> anyhow::Result<EmbeddedLedger> {
    let path = ledger_file(data)?;
    EmbeddedLedger::open(&path).with_context(|| {
        format!(
            "open {}; if a process holds it, ask that process: --url http://127.0.0.1:PORT instead of --data; if it \
             is damaged, `cordon audit verify --chain` names the records",
            path.display()
        )
    })
}

/// The ledger's file in a data directory, which must be there.
pub(super) fn ledger_file(data: &Path) -> anyhow::Result<PathBuf> {
    let path = data.join("ledger.redb");
    ensure!(
        path.exists(),
        "there is no ledger at {}; give the --data directory of `cordon serve` or of the handler",
        path.display()
    );
    Ok(path)
}

impl Source {
    /// Records with `seq > after`, the oldest first, one page of them.
    pub(super) async fn page(&self, after: u64) -> anyhow::Result<Vec<AuditRecord>> {
        match self {
            Self::Files(files) => {
                files.ledger.audit(&files.workload, after, AUDIT_PAGE_MAX).await.context("read the audit")
            }
            Self::Process(process) => {
                process.get(&format!("audit.json?after={after}&max={AUDIT_PAGE_MAX}")).await
            }
        }
    }

    /// Lines that a query finds, newest first, at most so many.
    pub(super) async fn lines(&self, query: &AuditQuery, max: usize) -> anyhow::Result<Vec<AuditLine>> {
        match self {
            Self::Files(files) => {
                files.ledger.audit_lines(&files.workload, query, max).await.context("read the audit")
            }
            Self::Process(process) => {
                let mut lines: Vec<AuditLine> = Vec::new();
                let mut before = query.before;
                while lines.len() < max {
                    let page_max = (max - lines.len()).min(LINES_PAGE);
                    let address = address(&AuditQuery { before, ..query.clone() }, page_max);
                    let page: LinesAnswer = process.get(&address).await?;
                    before = page.next_before;
                    lines.extend(page.lines);
                    if before.is_none() {
                        break;
                    }
                }
                Ok(lines)
            }
        }
    }

    /// The first records of incidents, newest first, at most so many.
    pub(super) async fn beginnings(&self, from: Option<Timestamp>, max: usize) -> anyhow::Result<Vec<u64>> {
        match self {
            Self::Files(files) => {
                let query = AuditQuery { beginnings: true, from, ..AuditQuery::default() };
                let lines = files.ledger.audit_lines(&files.workload, &query, max).await;
                Ok(lines.context("read the audit")?.into_iter().map(|line| line.seq).collect())
            }
            Self::Process(process) => {
                let mut found = Vec::new();
                let mut before = None;
                loop {
                    let address = match before {
                        None => "v1/incidents".to_owned(),
                        Some(before) => format!("v1/incidents?before={before}"),
                    };
                    let page: IncidentsAnswer = process.get(&address).await?;
                    before = page.next_before;
                    let young = page.incidents.iter().filter(|one| from.is_none_or(|from| one.began >= from));
                    let young: Vec<u64> = young.map(|one| one.first).collect();
                    let done = young.len() < page.incidents.len() || before.is_none();
                    found.extend(young);
                    if done || found.len() >= max {
                        found.truncate(max);
                        return Ok(found);
                    }
                }
            }
        }
    }

    /// The end of the chain as the state remembers it; none before the first commit.
    pub(super) async fn head(&self) -> anyhow::Result<Option<Head>> {
        Ok(self.state().await?.map(|state| Head { seq: state.audit_seq, hash: state.audit_head }))
    }

    /// The committed state; none before the first commit.
    pub(super) async fn state(&self) -> anyhow::Result<Option<WorkloadState>> {
        match self {
            Self::Files(files) => {
                Ok(files.ledger.load(&files.workload, 0).await.context("read the state")?.state)
            }
            Self::Process(process) => Ok(process.get::<StateAnswer>("state.json").await?.state),
        }
    }

    /// Records of the append-only copy with `seq > after`; none if it cannot be read from here.
    pub(super) async fn copy(&self, after: u64) -> anyhow::Result<Option<Vec<AuditRecord>>> {
        let Self::Files(Files { copy: Some(copy), workload, .. }) = self else { return Ok(None) };
        copy.list(workload, after, AUDIT_PAGE_MAX).await.map(Some).context("read the audit's copy")
    }
}

/// A query as the API's address.
fn address(query: &AuditQuery, max: usize) -> String {
    let mut pairs = url::form_urlencoded::Serializer::new(String::new());
    pairs.append_pair("max", &max.to_string());
    for (name, value) in [
        ("stamp", query.stamp.as_ref().map(ToString::to_string)),
        ("decision", query.decision.clone()),
        ("rule", query.rule.clone()),
        ("incident", query.incident.map(|first| first.to_string())),
        ("from", query.from.map(|at| at.to_string())),
        ("until", query.until.map(|at| at.to_string())),
        ("before", query.before.map(|seq| seq.to_string())),
    ] {
        if let Some(value) = value {
            pairs.append_pair(name, &value);
        }
    }
    format!("v1/audit?{}", pairs.finish())
}

/// Lines asked for at once: as many as the API gives.
const LINES_PAGE: usize = 1_000;

#[derive(Deserialize)]
struct LinesAnswer {
    lines: Vec<AuditLine>,
    next_before: Option<u64>,
}

#[derive(Deserialize)]
struct IncidentsAnswer {
    incidents: Vec<Summary>,
    next_before: Option<u64>,
}

#[derive(Deserialize)]
struct StateAnswer {
    state: Option<WorkloadState>,
}

impl Process {
    /// Without a workload, the only one of the process is meant.
    pub(super) fn new(url: &str, workload: Option<&str>, token: Option<String>) -> anyhow::Result<Self> {
        ensure!(
            url.starts_with("http://") || url.starts_with("https://"),
            "--url is {url:?}: write http://127.0.0.1:PORT"
        );
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build()?;
        let base = format!("{}/api/operator", url.trim_end_matches('/'));
        let base = workload.map_or_else(|| base.clone(), |workload| format!("{base}/w/{workload}"));
        Ok(Self { http, base, token })
    }

    /// GETs one of the page's JSON documents.
    pub(super) async fn get<T: DeserializeOwned>(&self, what: &str) -> anyhow::Result<T> {
        let url = format!("{}/{what}", self.base);
        let text = self.text(what).await?;
        serde_json::from_str(&text)
            .with_context(|| format!("read the answer of {url}; is it the same version?"))
    }

    /// Gives an order. Its giver is whom the token names.
    pub(super) async fn order(&self, request: &OrderRequest) -> anyhow::Result<OrderTaken> {
        let url = format!("{}/v1/orders", self.base);
        let token = self
            .token
            .as_deref()
            .context("give an order by --url: give --token, or CORDON_TOKEN, as `cordon serve` printed it")?;
        let sent = self.http.post(&url).bearer_auth(token).json(request).send().await;
        let response = sent.with_context(|| format!("order at {url}; is `cordon serve` running there?"))?;
        let status = response.status();
        let text = response.text().await.with_context(|| format!("read the answer of {url}"))?;
        if status.is_client_error() {
            let problem: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            let detail = problem["detail"].as_str().unwrap_or(&text).to_owned();
            return Err(OrderRefused(detail).into());
        }
        ensure!(status.is_success(), "{url} answered {status}: {text}");
        serde_json::from_str(&text)
            .with_context(|| format!("read the answer of {url}; is it the same version?"))
    }

    /// GETs one of the page's documents as it is.
    pub(super) async fn text(&self, what: &str) -> anyhow::Result<String> {
        let url = format!("{}/{what}", self.base);
        let response = self.http.get(&url).send().await;
        let response = response.with_context(|| format!("ask {url}; is `cordon serve` running there?"))?;
        let status = response.status();
        let text = response.text().await.with_context(|| format!("read the answer of {url}"))?;
        ensure!(status.is_success(), "{url} answered {status}: {text}");
        Ok(text)
    }
}
