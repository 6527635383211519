//! From the environment to settings, checked before the port is bound.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `PORT` | where it listens; 8080 by default |
//! | `HEALTH_URL` | required: the stamp's health service, `http://127.0.0.1:8081/healthz` beside a sidecar |
//! | `HEALTH_HEADERS` | further headers that it needs: `name,name`; in drills the clock |
//! | `COMPONENTS` | what the component checks ask: `name=url,..` |
//! | `CONCURRENCY_MAX` | requests served at once by this instance; 100 by default, from the owner's load test |
//! | `INSTANCES_DIR` | a directory that all instances of the stamp share; without it the load is this instance's alone |
//! | `WEBSITE_INSTANCE_ID` | this instance's name, set by the platform; the process id by default |
//! | `APP_WORK_MS` | how long a request to `/app` takes, for load tests; 0 by default, 10000 at the most |

use std::path::PathBuf;
use std::time::Duration;

/// Longest artificial work: a client's own time-out.
const WORK_MS_MAX: u64 = 10_000;

/// What one process needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) port: u16,
    pub(crate) health_url: String,
    pub(crate) health_headers: Vec<String>,
    pub(crate) components: Vec<(String, String)>,
    pub(crate) concurrency_max: usize,
    pub(crate) instances_dir: Option<PathBuf>,
    pub(crate) instance: String,
    pub(crate) work: Duration,
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// In one sentence, when a variable is missing or says something impossible.
    pub(crate) fn from_environment(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let get = |name: &str| get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let number = |name: &str, least: u64, most: u64, default: u64| match get(name) {
            None => Ok(default),
            Some(text) => match text.parse::<u64>() {
                Ok(value) if (least..=most).contains(&value) => Ok(value),
                _ => Err(format!("{name} is {text:?}: set it to a number from {least} to {most}")),
            },
        };
        let health_url = get("HEALTH_URL").ok_or("HEALTH_URL is not set: name the stamp's health service")?;
        if !health_url.starts_with("http://") && !health_url.starts_with("https://") {
            return Err(format!("HEALTH_URL is {health_url:?}: write http://127.0.0.1:8081/healthz"));
        }
        let to_usize = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let instance = get("WEBSITE_INSTANCE_ID").unwrap_or_else(|| std::process::id().to_string());
        Ok(Self {
            port: u16::try_from(number("PORT", 0, 65_535, 8_080)?).unwrap_or(8_080),
            health_url: health_url.trim_end_matches('/').to_owned(),
            health_headers: list(get("HEALTH_HEADERS")).map(|name| name.to_ascii_lowercase()).collect(),
            components: components(get("COMPONENTS"))?,
            concurrency_max: to_usize(number("CONCURRENCY_MAX", 1, 100_000, 100)?),
            instances_dir: get("INSTANCES_DIR").map(PathBuf::from),
            instance: instance.chars().filter(char::is_ascii_alphanumeric).take(64).collect(),
            work: Duration::from_millis(number("APP_WORK_MS", 0, WORK_MS_MAX, 0)?),
        })
    }
}

fn list(text: Option<String>) -> impl Iterator<Item = String> {
    let parts: Vec<String> = text
        .unwrap_or_default()
        .split(',')
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect();
    parts.into_iter()
}

fn components(text: Option<String>) -> Result<Vec<(String, String)>, String> {
    list(text)
        .map(|part| match part.split_once('=') {
            Some((name, url)) if !name.is_empty() && url.starts_with("http") => {
                Ok((name.trim().to_owned(), url.trim().to_owned()))
            }
            _ => Err(format!("COMPONENTS has {part:?}: write name=http://address[,name=..]")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::from_environment(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_health_service_is_all_that_is_required() {
        let settings = read(&[("HEALTH_URL", "http://127.0.0.1:8081/healthz/")]).unwrap();
        assert_eq!((settings.port, settings.concurrency_max), (8_080, 100));
        assert_eq!(settings.health_url, "http://127.0.0.1:8081/healthz");
        assert!(read(&[]).unwrap_err().contains("HEALTH_URL"));
    }

    #[test]
    fn what_is_impossible_is_refused_by_name() {
        for (name, value) in [
            ("PORT", "eighty"),
            ("CONCURRENCY_MAX", "0"),
            ("COMPONENTS", "vault"),
            ("APP_WORK_MS", "60000"),
            ("HEALTH_URL", "127.0.0.1"),
        ] {
            let mut pairs = vec![(name, value)];
            pairs.push(("HEALTH_URL", "http://127.0.0.1:1/healthz"));
            assert!(read(&pairs).unwrap_err().contains(name), "{name}");
        }
    }
}
