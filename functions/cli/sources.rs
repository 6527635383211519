//! Where a command reads: the embedded stores when no process holds them, or the process that does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use adapters::embedded::{EmbeddedAudit, EmbeddedLedger};
use adapters::{AuditStore, Ledger};
use anyhow::{Context, bail, ensure};
use clap::Args;
use domain::audit::AuditRecord;
use domain::state::WorkloadState;
use domain::{Policy, WorkloadId};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::policy_file;
use crate::page::AUDIT_PAGE_MAX;

/// A page is judged in milliseconds; a process that takes longer hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// The policy that is used when none is named.
const POLICY: &str = "policy.toml";

/// Which ledger: a directory or a process.
#[derive(Args)]
pub(super) struct SourceArgs {
    #[command(flatten)]
    place: PlaceArgs,
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
            (None, Some(url)) => Ok(Source::Process(Process::new(url, self.workload.as_deref())?)),
            (None, None) => bail!("give --data DIR or --url http://127.0.0.1:PORT"),
        }
    }

    /// The directory, if one was named.
    pub(super) fn data(&self) -> Option<&Path> {
        self.place.data.as_deref()
    }

    /// The process, if one was named.
    pub(super) fn process(&self) -> anyhow::Result<Option<Process>> {
        let workload = self.workload.as_deref();
        self.place.url.as_deref().map(|url| Process::new(url, workload)).transpose()
    }

    /// The policy, where one was named or lies here.
    pub(super) fn policy(&self) -> anyhow::Result<Option<Policy>> {
        match &self.policy {
            Some(path) => policy_file::read(path).map(Some),
            None if Path::new(POLICY).exists() => policy_file::read(Path::new(POLICY)).map(Some),
            None => Ok(None),
        }
    }

    fn workload(&self) -> anyhow::Result<WorkloadId> {
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
    let path = data.join("ledger.redb");
    ensure!(
        path.exists(),
        "there is no ledger at {}; give the --data directory of `cordon serve` or of the handler",
        path.display()
    );
    EmbeddedLedger::open(&path).with_context(|| {
        format!(
            "open {}; if a process holds it, ask that process: --url http://127.0.0.1:PORT instead of --data",
            path.display()
        )
    })
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

    /// The end of the chain as the state remembers it; none before the first commit.
    pub(super) async fn head(&self) -> anyhow::Result<Option<Head>> {
        let state = match self {
            Self::Files(files) => {
                files.ledger.load(&files.workload, 0).await.context("read the state")?.state
            }
            Self::Process(process) => process.get::<StateAnswer>("state.json").await?.state,
        };
        Ok(state.map(|state| Head { seq: state.audit_seq, hash: state.audit_head }))
    }

    /// Records of the append-only copy with `seq > after`; none if it cannot be read from here.
    pub(super) async fn copy(&self, after: u64) -> anyhow::Result<Option<Vec<AuditRecord>>> {
        let Self::Files(Files { copy: Some(copy), workload, .. }) = self else { return Ok(None) };
        copy.list(workload, after, AUDIT_PAGE_MAX).await.map(Some).context("read the audit's copy")
    }
}

#[derive(Deserialize)]
struct StateAnswer {
    state: Option<WorkloadState>,
}

impl Process {
    /// Without a workload, the only one of the process is meant.
    fn new(url: &str, workload: Option<&str>) -> anyhow::Result<Self> {
        ensure!(
            url.starts_with("http://") || url.starts_with("https://"),
            "--url is {url:?}: write http://127.0.0.1:PORT"
        );
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build()?;
        let base = format!("{}/api/operator", url.trim_end_matches('/'));
        let base = workload.map_or_else(|| base.clone(), |workload| format!("{base}/w/{workload}"));
        Ok(Self { http, base })
    }

    /// GETs one of the page's JSON documents.
    pub(super) async fn get<T: DeserializeOwned>(&self, what: &str) -> anyhow::Result<T> {
        let url = format!("{}/{what}", self.base);
        let response = self.http.get(&url).send().await;
        let response = response.with_context(|| format!("ask {url}; is `cordon serve` running there?"))?;
        let status = response.status();
        let text = response.text().await.with_context(|| format!("read the answer of {url}"))?;
        ensure!(status.is_success(), "{url} answered {status}: {text}");
        serde_json::from_str(&text)
            .with_context(|| format!("read the answer of {url}; is it the same version?"))
    }
}
