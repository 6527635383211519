//! The table of Azure's public regions: a region that is not in it is unknown, whatever an event claims. Where each
//! lies tells which of two is nearer to a third.

use crate::RegionName;

/// Public regions by id, from Azure's list of geographies (state of 2026), each with latitude and longitude in whole
/// degrees as its list of locations states them. A display name maps to its id by `RegionName::from_display`.
///
/// A degree is up to 111 km: enough to order neighbours, and no measure of latency. Front Door routes by latency, which
/// follows distance roughly; where that is not good enough, `worst-case` assumes nothing about it.
pub(crate) const REGIONS: [(&str, i16, i16); 59] = [
    ("australiacentral", -35, 149),
    ("australiacentral2", -35, 149),
    ("australiaeast", -34, 151),
    ("australiasoutheast", -38, 145),
    ("austriaeast", 48, 16),
    ("belgiumcentral", 51, 4),
    ("brazilsouth", -24, -47),
    ("brazilsoutheast", -23, -43),
    ("canadacentral", 44, -79),
    ("canadaeast", 47, -71),
    ("centralindia", 19, 74),
    ("centralus", 42, -94),
    ("chilecentral", -33, -71),
    ("eastasia", 22, 114),
    ("eastus", 37, -80),
    ("eastus2", 37, -78),
    ("francecentral", 46, 2),
    ("francesouth", 44, 2),
    ("germanynorth", 53, 9),
    ("germanywestcentral", 50, 9),
    ("indonesiacentral", -6, 107),
    ("israelcentral", 31, 33),
    ("italynorth", 45, 9),
    ("japaneast", 36, 140),
    ("japanwest", 35, 136),
    ("jioindiacentral", 21, 79),
    ("jioindiawest", 22, 70),
    ("koreacentral", 38, 127),
    ("koreasouth", 35, 129),
    ("malaysiawest", 3, 102),
    ("mexicocentral", 21, -100),
    ("newzealandnorth", -37, 175),
    ("northcentralus", 42, -88),
    ("northeurope", 53, -6),
    ("norwayeast", 60, 11),
    ("norwaywest", 59, 6),
    ("polandcentral", 52, 21),
    ("qatarcentral", 26, 51),
    ("southafricanorth", -26, 28),
    ("southafricawest", -34, 19),
    ("southcentralus", 29, -98),
    ("southeastasia", 1, 104),
    ("southindia", 13, 80),
    ("spaincentral", 40, -3),
    ("swedencentral", 61, 17),
    ("swedensouth", 56, 13),
    ("switzerlandnorth", 47, 9),
    ("switzerlandwest", 46, 6),
    ("taiwannorth", 25, 122),
    ("uaecentral", 24, 54),
    ("uaenorth", 25, 55),
    ("uksouth", 51, -1),
    ("ukwest", 53, -3),
    ("westcentralus", 41, -110),
    ("westeurope", 52, 5),
    ("westindia", 19, 73),
    ("westus", 38, -122),
    ("westus2", 47, -120),
    ("westus3", 33, -112),
];

/// Mean radius of the Earth in km.
const EARTH_KM: f64 = 6_371.0;

/// Whether `region` is the id of a public Azure region.
pub fn is_known(region: &RegionName) -> bool {
    place(region).is_some()
}

/// Great-circle distance between two regions in whole km; none when one of them is unknown. Whole, so that a record gives
/// the same order on every machine.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most half the Earth's girth in km"
)]
pub fn distance_km(from: &RegionName, to: &RegionName) -> Option<u32> {
    let ((lat_a, lon_a), (lat_b, lon_b)) = (place(from)?, place(to)?);
    let half = |a: f64, b: f64| ((b - a) / 2.0).sin().powi(2);
    let chord = half(lat_a, lat_b) + lat_a.cos() * lat_b.cos() * half(lon_a, lon_b);
    Some((2.0 * EARTH_KM * chord.sqrt().min(1.0).asin()).round() as u32)
}

/// Latitude and longitude in radians.
fn place(region: &RegionName) -> Option<(f64, f64)> {
    let (_, latitude, longitude) = REGIONS.iter().find(|(name, ..)| *name == region.as_str())?;
    Some((f64::from(*latitude).to_radians(), f64::from(*longitude).to_radians()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_of_two_regions_is_the_one_on_the_map() {
        let of = |text: &str| RegionName::new(text);
        for (from, near, far) in [
            ("eastus2", "centralus", "westus"),
            ("westus", "westus3", "eastus"),
            ("westeurope", "northeurope", "swedencentral"),
            ("japaneast", "koreacentral", "newzealandnorth"),
            ("westus2", "centralus", "eastasia"),
        ] {
            let km = |to: &str| distance_km(&of(from), &of(to)).unwrap();
            assert!(km(near) < km(far), "{from}: {near} {} km, {far} {} km", km(near), km(far));
        }
        assert_eq!(distance_km(&of("eastus"), &of("eastus")), Some(0));
        assert_eq!(distance_km(&of("eastus"), &of("atlantis")), None);
    }
}
