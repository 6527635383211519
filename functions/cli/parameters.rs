//! The stamps of a Bicep parameter file: a small, strict reader. It reads what our own files write, `param name = value` with
//! literals, and refuses the rest with the line: no Bicep compiler is at hand, and a guess about a region would be worse than
//! no answer.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use domain::{RegionName, StampId};

/// Most stamps of a deployment, as `infra/main.bicep` has it.
const STAMPS_MAX: usize = 10;

/// The keys of one entry of `stamps`, as `infra/main.bicep` describes them.
const KEYS: [&str; 7] =
    ["name", "region", "displayName", "state", "instancesMin", "instancesMax", "addressSpace"];

/// What is read of a parameter file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// The workload's name.
    pub workload: String,
    /// The stamps, in the file's order.
    pub stamps: Vec<StampEntry>,
    /// Stamps whose origin this deployment disables.
    pub held_out: Vec<StampId>,
}

/// One entry of `stamps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampEntry {
    /// Its name: the origin's and the tag's.
    pub name: StampId,
    /// Its region.
    pub region: RegionName,
    /// On its way out.
    pub draining: bool,
    /// Least instances.
    pub instances_min: u32,
    /// Most instances.
    pub instances_max: u32,
}

/// Reads a parameter file.
///
/// # Errors
/// When it cannot be read, or has something that this reader does not know; the message names the line.
pub fn read(file: &Path) -> anyhow::Result<Parameters> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    parse(&text).with_context(|| format!("read the stamps in {}", file.display()))
}

/// Reads the text of a parameter file.
///
/// # Errors
/// As `read`.
pub fn parse(text: &str) -> anyhow::Result<Parameters> {
    let lines: Vec<(usize, &str)> =
        text.lines().enumerate().map(|(number, line)| (number + 1, without_comment(line).trim())).collect();
    let workload = literal(&lines, "workload")?.context("find `param workload = '..'`")?;
    let stamps = entries(&lines)?;
    ensure!(
        (2..=STAMPS_MAX).contains(&stamps.len()),
        "`stamps` has {} entries: main.bicep takes 2 to {STAMPS_MAX}",
        stamps.len()
    );
    for (place, stamp) in stamps.iter().enumerate() {
        let twice =
            stamps[..place].iter().any(|other| other.name == stamp.name || other.region == stamp.region);
        ensure!(!twice, "{} is in `stamps` twice, by name or by region", stamp.name);
    }
    let held_out = names(&lines, "originsHeldOut")?;
    if let Some(stranger) = held_out.iter().find(|name| !stamps.iter().any(|stamp| stamp.name == **name)) {
        bail!("originsHeldOut names {stranger}, which is no stamp of this file");
    }
    Ok(Parameters { workload, stamps, held_out })
}

/// A comment begins with `//` outside of a string.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    for (at, character) in line.char_indices() {
        match character {
            '\'' => quoted = !quoted,
            '/' if !quoted && line[at..].starts_with("//") => return &line[..at],
            _ => {}
        }
    }
    line
}

fn quoted(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    (!inner.contains(['\'', '$', '\\'])).then_some(inner)
}

/// The value of `param NAME = '..'`; none when there is no such line.
fn literal(lines: &[(usize, &str)], name: &str) -> anyhow::Result<Option<String>> {
    let opening = format!("param {name} = ");
    let Some((number, line)) = lines.iter().find(|(_, line)| line.starts_with(&opening)) else {
        return Ok(None);
    };
    let value = quoted(&line[opening.len()..]);
    Ok(Some(value.with_context(|| format!("line {number}: write {opening}'..'"))?.to_owned()))
}

/// The lines between `param NAME = [` and its `]`; none when there is no such parameter.
fn array<'a>(lines: &'a [(usize, &'a str)], name: &str) -> anyhow::Result<Option<&'a [(usize, &'a str)]>> {
    let opening = format!("param {name} = [");
    let Some(start) = lines.iter().position(|(_, line)| line.starts_with(&opening)) else { return Ok(None) };
    let (number, line) = lines[start];
    if line == format!("{opening}]") {
        return Ok(Some(&[]));
    }
    ensure!(line == opening, "line {number}: write `{opening}`, and each entry on lines of its own");
    let length = lines[start + 1..].iter().position(|(_, line)| *line == "]");
    let length = length.with_context(|| format!("line {number}: find the `]` of `{name}`"))?;
    Ok(Some(&lines[start + 1..start + 1 + length]))
}

fn names(lines: &[(usize, &str)], name: &str) -> anyhow::Result<Vec<StampId>> {
    let inner = array(lines, name)?.unwrap_or_default();
    let written = inner.iter().filter(|(_, line)| !line.is_empty());
    written
        .map(|(number, line)| {
            let value = quoted(line).with_context(|| format!("line {number}: write '..', one a line"))?;
            Ok(StampId::new(value))
        })
        .collect()
}

fn entries(lines: &[(usize, &str)]) -> anyhow::Result<Vec<StampEntry>> {
    let inner = array(lines, "stamps")?.context("find `param stamps = [`")?;
    let mut stamps = Vec::new();
    let mut open: Option<(usize, BTreeMap<&str, &str>)> = None;
    for (number, line) in inner {
        match (*line, open.take()) {
            ("", before) => open = before,
            ("{", None) => open = Some((*number, BTreeMap::new())),
            ("}", Some((at, fields))) => stamps.push(entry(at, &fields)?),
            (field, Some((at, mut fields))) => {
                let (key, value) =
                    field.split_once(':').with_context(|| format!("line {number}: write `key: value`"))?;
                ensure!(KEYS.contains(&key.trim()), "line {number}: a stamp has no {}", key.trim());
                let before = fields.insert(key.trim(), value.trim());
                ensure!(before.is_none(), "line {number}: {} is there twice", key.trim());
                open = Some((at, fields));
            }
            (_, None) => bail!("line {number}: a stamp begins with `{{` on a line of its own"),
        }
    }
    ensure!(open.is_none(), "the last stamp has no `}}` on a line of its own");
    Ok(stamps)
}

fn entry(at: usize, fields: &BTreeMap<&str, &str>) -> anyhow::Result<StampEntry> {
    for key in KEYS {
        ensure!(fields.contains_key(key), "the stamp on line {at} has no {key}");
    }
    let text =
        |key: &str| quoted(fields[key]).with_context(|| format!("the stamp on line {at}: write {key}: '..'"));
    let number = |key: &str| {
        fields[key].parse::<u32>().with_context(|| format!("the stamp on line {at}: write {key}: a number"))
    };
    let draining = match text("state")? {
        "serving" => false,
        "draining" => true,
        other => bail!("the stamp on line {at}: state is {other:?}: serving or draining"),
    };
    let (instances_min, instances_max) = (number("instancesMin")?, number("instancesMax")?);
    ensure!(
        (1..=instances_max).contains(&instances_min),
        "the stamp on line {at}: instancesMin must be at least 1 and not above instancesMax"
    );
    Ok(StampEntry {
        name: StampId::new(text("name")?),
        region: RegionName::new(text("region")?),
        draining,
        instances_min,
        instances_max,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROD: &str = include_str!("../../infra/parameters/prod.bicepparam");
    const DEV: &str = include_str!("../../infra/parameters/dev.bicepparam");

    #[test]
    fn both_files_of_the_repository_are_read() {
        let prod = parse(PROD).unwrap();
        let names: Vec<&str> = prod.stamps.iter().map(|stamp| stamp.name.as_str()).collect();
        assert_eq!((prod.workload.as_str(), names), ("contoso-shoes", vec!["eastus2", "centralus"]));
        assert_eq!((prod.stamps[0].instances_min, prod.stamps[1].instances_min), (20, 7));
        assert_eq!(parse(DEV).unwrap().stamps.len(), 2);
    }

    #[test]
    fn what_it_does_not_know_is_refused_with_its_line() {
        for (find, instead, expected) in [
            ("region: 'centralus'", "region: 'eastus2'", "twice"),
            ("region: 'centralus'", "region: someRegion", "region"),
            ("state: 'serving'", "state: 'gone'", "serving or draining"),
            ("instancesMin: 7", "instancesMin: 31", "instancesMax"),
            ("instancesMin: 7", "instances: 7", "a stamp has no instances"),
            ("instancesMin: 7\n", "\n", "has no instancesMin"),
            ("param stamps = [", "param stamps = [for", "write"),
            ("param workload = 'contoso-shoes'", "param workload = name", "workload"),
        ] {
            assert!(PROD.contains(find), "{find}");
            let told = format!("{:#}", parse(&PROD.replacen(find, instead, 1)).unwrap_err());
            assert!(told.contains(expected), "{instead}: {told}");
        }
    }

    #[test]
    fn a_draining_stamp_and_one_that_is_held_out_are_seen() {
        let text = PROD.replacen("state: 'serving'", "state: 'draining' // leaves", 1)
            + "param originsHeldOut = [\n  'eastus2'\n]\n";
        let read = parse(&text).unwrap();
        assert!(read.stamps[0].draining && !read.stamps[1].draining);
        assert_eq!(read.held_out, [StampId::new("eastus2")]);
        assert!(parse(&text.replace("  'eastus2'\n]", "  'nowhere'\n]")).is_err());
    }
}
