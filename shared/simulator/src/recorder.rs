//! Keeps what was said to ARM and what it answered: in memory for assertions, and as files for contract tests.

use std::io;
use std::path::PathBuf;

use domain::Timestamp;
use serde_json::{Value, json};

use crate::arm::{ArmRequest, ArmResponse, CONTENT_TYPE, MANAGEMENT};

/// Exchanges kept in memory and written, at most: a day of a busy controller.
const EXCHANGES_MAX: usize = 200_000;

/// One exchange with ARM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArmExchange {
    /// Simulated time.
    pub at: Timestamp,
    /// HTTP method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// HTTP status.
    pub status: u16,
}

/// The record of all exchanges with ARM.
#[derive(Debug, Default)]
pub struct Recorder {
    directory: Option<PathBuf>,
    exchanges: Vec<ArmExchange>,
    failure: Option<io::Error>,
}

impl Recorder {
    /// Keeps exchanges in memory only.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Also writes each exchange as one numbered JSON file into an existing directory.
    pub fn into_directory(directory: PathBuf) -> Self {
        Self { directory: Some(directory), ..Self::default() }
    }

    /// The exchanges so far, oldest first.
    pub fn exchanges(&self) -> &[ArmExchange] {
        &self.exchanges
    }

    /// The first failure to write a file, if there was one. Recording never fails an exchange.
    pub fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }

    pub(crate) fn record(&mut self, at: Timestamp, request: &ArmRequest, response: &ArmResponse) {
        if self.exchanges.len() == EXCHANGES_MAX {
            return;
        }
        self.exchanges.push(ArmExchange {
            at,
            method: request.method.clone(),
            path: request.path.clone(),
            status: response.status,
        });
        if let Some(directory) = &self.directory {
            let file = directory.join(format!("{:06}.json", self.exchanges.len()));
            if let Err(error) = std::fs::write(file, format!("{:#}\n", document(request, response))) {
                self.failure.get_or_insert(error);
            }
        }
    }
}

fn document(request: &ArmRequest, response: &ArmResponse) -> Value {
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    let shown = |(name, value): &(String, String)| {
        let secret = name.eq_ignore_ascii_case("authorization");
        (name.clone(), json!(if secret { "Bearer REDACTED" } else { value.as_str() }))
    };
    let mut answered: serde_json::Map<_, _> = response.headers.iter().map(shown).collect();
    answered.insert("content-type".to_owned(), json!(CONTENT_TYPE));
    let mut document = json!({
        "liveRequest": {
            "method": request.method,
            "url": format!("{MANAGEMENT}{}{query}", request.path),
            "headers": request.headers.iter().map(shown).collect::<serde_json::Map<_, _>>()
        },
        "liveResponse": {
            "statusCode": response.status.to_string(),
            "headers": answered,
            "body": response.body
        }
    });
    // No body is something else than a body of `null`.
    if !request.body.is_null() {
        document["liveRequest"]["body"] = request.body.clone();
    }
    document
}
