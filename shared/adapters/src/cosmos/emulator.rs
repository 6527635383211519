//! Microsoft's in-memory emulator of Cosmos DB as Cordon's account, for tests and drills. Behind a cargo feature that the
//! package leaves off, because the emulator is internal to Microsoft's crate and pinned to one version of it.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::http::{AsyncRawResponse, Request, Url};
pub use azure_data_cosmos::fault_injection;
use azure_data_cosmos::fault_injection::FaultInjectionRule;
use azure_data_cosmos::{
    AccountEndpoint, AccountReference, CosmosClient, CosmosClientBuilder, CosmosRuntimeBuilder, FeedScope,
};
use azure_data_cosmos_driver::in_memory_emulator::{
    ConsistencyLevel, ContainerConfig, InMemoryEmulatorHttpClient, VirtualAccountConfig, VirtualRegion,
};
pub use azure_data_cosmos_driver::in_memory_emulator::{
    EmulatorStore, RequestObserver, RequestUnitChargingModel, WriteMode,
};
use domain::{RegionName, StampId};
use futures_util::TryStreamExt;

use super::account::{Connect, Container, CosmosAccount, routing};
use super::check::CosmosCheck;
use super::topology;
use crate::StoreError;
use crate::memory::rules;

/// Any key will do: the emulator checks none.
const KEY: &str = "dGVzdGtleQ==";

/// The database's name in every emulated account.
const DATABASE: &str = "cordon";

/// The container that stamps look at, where the account plays the workload's.
const HEALTH: &str = "health";

/// An account in memory: one write region and replicas.
#[derive(Clone)]
pub struct CosmosEmulator {
    http: Arc<InMemoryEmulatorHttpClient>,
    /// The write region first, by display name, which is what the emulator's hooks take.
    regions: Vec<&'static str>,
}

/// What an emulated account should be like.
#[derive(Clone, Debug)]
pub struct EmulatorSettings {
    /// Display names of its regions, the write region first.
    pub regions: Vec<&'static str>,
    /// Cordon's own account has one write region, a workload's may write in each.
    pub writes: WriteMode,
    /// Request units per second of each container, and 429 beyond them; without end if none.
    pub units_per_second: Option<u64>,
    /// What requests cost.
    pub charging: RequestUnitChargingModel,
    /// Sees every request.
    pub observer: Option<Arc<dyn RequestObserver>>,
}

impl Default for EmulatorSettings {
    fn default() -> Self {
        Self {
            regions: vec!["West US 3", "East US 2", "Central US"],
            writes: WriteMode::Single,
            units_per_second: None,
            charging: RequestUnitChargingModel::default(),
            observer: None,
        }
    }
}

impl CosmosEmulator {
    /// An empty account with its containers.
    ///
    /// # Errors
    /// When the settings are not possible.
    pub fn new(settings: EmulatorSettings) -> azure_data_cosmos::Result<Self> {
        let mut regions = Vec::new();
        for name in &settings.regions {
            let url = address(name).parse::<AccountEndpoint>()?.into_url();
            regions.push(VirtualRegion::new(name, url));
        }
        let config = VirtualAccountConfig::new(regions)?
            .with_write_mode(settings.writes)
            .with_consistency(ConsistencyLevel::Session)
            .with_ru_model(settings.charging)
            .with_throttling_enabled(settings.units_per_second.is_some());
        let mut http = InMemoryEmulatorHttpClient::try_new(config)?;
        if let Some(observer) = settings.observer {
            http = http.with_request_observer(observer);
        }
        let store = http.store();
        store.create_database(DATABASE);
        let own = [Container::Ledger, Container::Gates, Container::Audit];
        let containers = own.into_iter().map(|own| (own.name(), "/workload")).chain([(HEALTH, "/id")]);
        for (container, path) in containers {
            let config = match settings.units_per_second {
                Some(units) => ContainerConfig::new().with_throughput(units),
                None => ContainerConfig::new(),
            };
            let key = serde_json::json!({ "paths": [path], "kind": "Hash", "version": 2 });
            let config = config.with_partition_count(1).build()?;
            store.create_container_with_config(DATABASE, container, serde_json::from_value(key)?, config);
        }
        Ok(Self { http: Arc::new(http), regions: settings.regions })
    }

    /// The account as a process in the write region uses it.
    pub fn account(&self) -> CosmosAccount {
        self.account_near(None, Vec::new())
    }

    /// The account as a process near a region uses it, with faults on its way.
    pub fn account_near(
        &self,
        near: Option<RegionName>,
        faults: Vec<Arc<FaultInjectionRule>>,
    ) -> CosmosAccount {
        CosmosAccount::with(self.connect(near, faults), DATABASE.to_owned())
    }

    /// The account as a workload's own, looked at from a stamp near a region, with faults on its way.
    pub fn check(
        &self,
        stamp: StampId,
        near: Option<RegionName>,
        faults: Vec<Arc<FaultInjectionRule>>,
    ) -> CosmosCheck {
        CosmosCheck::with(self.connect(near, faults), DATABASE.to_owned(), HEALTH.to_owned(), stamp)
    }

    /// The documents of the container that stamps look at.
    ///
    /// # Errors
    /// When the account does not answer.
    pub async fn health_documents(&self) -> azure_data_cosmos::Result<Vec<serde_json::Value>> {
        let client = self.connect(None, Vec::new()).connect().await?;
        let container = client.database_client(DATABASE).container_client(HEALTH, None).await?;
        let found = container.query_items("SELECT * FROM c", FeedScope::full_container(), None).await?;
        found.try_collect().await
    }

    fn connect(&self, near: Option<RegionName>, faults: Vec<Arc<FaultInjectionRule>>) -> Box<dyn Connect> {
        Box::new(Emulated { http: Arc::clone(&self.http), regions: self.regions.clone(), near, faults })
    }

    /// The regions, the write region first.
    pub fn regions(&self) -> &[&'static str] {
        &self.regions
    }

    /// Where the account is to a client that speaks to its write region.
    ///
    /// # Errors
    /// Never for the names that it was made with.
    pub fn endpoint(&self) -> azure_data_cosmos::Result<Url> {
        let write_region = self.regions.first().copied().unwrap_or_default();
        Ok(address(write_region).parse::<AccountEndpoint>()?.into_url())
    }

    /// Answers one request below [`endpoint`](Self::endpoint) as the service does over HTTP: for a front that clients of
    /// other makers can speak to.
    ///
    /// # Errors
    /// When nothing came back.
    pub async fn answer(&self, request: &Request) -> azure_data_cosmos::Result<AsyncRawResponse> {
        self.http.execute_request(request).await
    }

    /// The emulator's own hooks: regions going offline, failover, replication that pauses.
    pub fn store(&self) -> Arc<EmulatorStore> {
        self.http.store()
    }
}

/// An account in an emulator of another maker, which speaks plain HTTP on loopback.
///
/// # Errors
/// When the address is none.
pub fn account_over_http(endpoint: &str, database: String) -> azure_data_cosmos::Result<CosmosAccount> {
    Ok(CosmosAccount::with(Box::new(OverHttp { endpoint: endpoint.parse()? }), database))
}

struct OverHttp {
    endpoint: AccountEndpoint,
}

#[async_trait]
impl Connect for OverHttp {
    async fn connect(&self) -> azure_data_cosmos::Result<CosmosClient> {
        let key = azure_core::credentials::Secret::new(KEY);
        let account = AccountReference::with_authentication_key(self.endpoint.clone(), key);
        let runtime = CosmosRuntimeBuilder::new().build().await?;
        CosmosClientBuilder::new().with_runtime(runtime).build(account, routing(None)).await
    }

    async fn write_region(&self) -> Result<RegionName, StoreError> {
        write_region_of_a_new_client(self).await
    }
}

/// A new client reads the account's document; the others keep theirs for minutes.
async fn write_region_of_a_new_client(connect: &impl Connect) -> Result<RegionName, StoreError> {
    let client =
        connect.connect().await.map_err(|error| rules::unavailable(rules::LEDGER, error.to_string()))?;
    let regions = client.cached_account_regions_for_testing().await;
    let writable = regions.map(|(writable, _)| writable).unwrap_or_default();
    topology::only(writable.iter().map(|region| region.as_str().to_owned()))
}

struct Emulated {
    http: Arc<InMemoryEmulatorHttpClient>,
    regions: Vec<&'static str>,
    near: Option<RegionName>,
    faults: Vec<Arc<FaultInjectionRule>>,
}

#[async_trait]
impl Connect for Emulated {
    async fn write_region(&self) -> Result<RegionName, StoreError> {
        write_region_of_a_new_client(self).await
    }

    async fn connect(&self) -> azure_data_cosmos::Result<CosmosClient> {
        let runtime = match self.faults.as_slice() {
            [] => self.http.runtime_builder(),
            faults => self.http.runtime_builder_with_fault_rules(faults.to_vec()),
        };
        // The service has one name for the account, which follows the write region; the emulator knows regions only.
        let mut endpoints = Vec::new();
        for region in &self.regions {
            endpoints.push(address(region).parse::<AccountEndpoint>()?);
        }
        let endpoint = endpoints.remove(0);
        let key = azure_core::credentials::Secret::new(KEY);
        let account = AccountReference::with_authentication_key(endpoint, key);
        let runtime = CosmosRuntimeBuilder::from(runtime).build().await?;
        let builder = CosmosClientBuilder::new().with_runtime(runtime).with_backup_endpoints(endpoints);
        builder.build(account, routing(self.near.as_ref())).await
    }
}

fn address(region: &str) -> String {
    format!("https://{}.emulator.invalid", RegionName::from_display(region))
}
