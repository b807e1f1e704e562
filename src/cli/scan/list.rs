//! The list of a search: TOML that can be pasted into the configuration as it stands.
//!
//! A meter that can be selected has its secondary address, because that stays when somebody sets a primary one; any other
//! has the primary one. What is configured already is there as a comment.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use weir_mbus::Secondary;

use crate::line;
use crate::scan::{Meter, Protocol, Report};

/// The list. `taken` are the ids that other meters have.
pub(super) fn list<'t>(report: &Report, line: &line::Config, taken: impl Iterator<Item = &'t str>) -> String {
    let mut ids: HashSet<String> = taken.map(str::to_owned).collect();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    for number in report.meters.iter().filter_map(number) {
        *numbers.entry(number).or_default() += 1;
    }
    let mut text = String::new();
    let _ = writeln!(text, "# {} on line {:?}", counted(report.meters.len()), line.name);
    for trouble in &report.troubles {
        let _ = writeln!(text, "# not cleared up: {trouble}");
    }
    let mut meters: Vec<&Meter> = report.meters.iter().collect();
    meters.sort_by_key(|meter| {
        (meter.protocol, meter.baud, meter.address.clone(), meter.secondary.clone(), meter.primary)
    });
    for meter in meters {
        let is_only = number(meter).is_none_or(|number| numbers.get(&number) == Some(&1));
        text.push('\n');
        match known(meter, line) {
            Some(id) => {
                let _ = writeln!(text, "# Configured already, as {id:?}:");
                text += &commented(&entry(meter, &line.name, id, is_only));
            }
            None => {
                let entry = entry(meter, &line.name, &id(meter, &line.name, &mut ids), is_only);
                let is_usable = address(meter, is_only).is_some();
                text += &if is_usable { entry } else { commented(&entry) };
            }
        }
    }
    text
}

fn commented(entry: &str) -> String {
    entry.lines().map(|line| format!("# {line}\n")).collect()
}

fn counted(count: usize) -> String {
    match count {
        0 => "no meter was found".to_owned(),
        1 => "1 meter was found".to_owned(),
        count => format!("{count} meters were found"),
    }
}

fn secondary(meter: &Meter) -> Option<Secondary> {
    meter.secondary.as_deref()?.parse().ok()
}

/// Its address on CJ/T 188, where a meter can have such a one.
fn cjt188(meter: &Meter) -> Option<weir_cjt188::Address> {
    meter.address.as_deref().filter(|_| meter.protocol == Protocol::Cjt188)?.parse().ok()
}

/// The same on DL/T 645.
fn dlt645(meter: &Meter) -> Option<weir_dlt645::Address> {
    meter.address.as_deref().filter(|_| meter.protocol == Protocol::Dlt645)?.parse().ok()
}

fn number(meter: &Meter) -> Option<String> {
    secondary(meter)?.number()
}

fn entry(meter: &Meter, line: &str, id: &str, is_only: bool) -> String {
    let driver = meter.protocol.name();
    let mut text =
        format!("[[meters]]\nid = {}\nline = {}\ndriver = \"{driver}\"\n", quoted(id), quoted(line));
    let who = secondary(meter);
    let described = [
        who.and_then(|who| who.manufacturer()),
        who.and_then(|who| who.version()).map(|version| format!("version {version:02X}")),
        who.and_then(|who| who.medium()).map(|medium| medium.to_string()),
        meter.primary.map(|primary| format!("primary address {primary}")),
        cjt188(meter).map(|address| address.medium().to_string()),
    ];
    let described: Vec<String> = described.into_iter().flatten().collect();
    if !described.is_empty() {
        let _ = writeln!(text, "# {}", described.join(", "));
    }
    match (address(meter, is_only), &meter.address) {
        (Some(address), _) => text += &address,
        (None, Some(answered)) => {
            let _ =
                writeln!(text, "# it answered with {answered}, which is no address that a meter can have");
        }
        (None, None) => text += "# it has no address under which it could be asked\n",
    }
    let _ = writeln!(text, "baud = {}", meter.baud);
    if meter.without_parity {
        text += "parity = \"none\"\n";
    }
    text
}

/// The keys that say where it is; `None`: it cannot be configured.
fn address(meter: &Meter, is_only: bool) -> Option<String> {
    let address = match meter.protocol {
        Protocol::Mbus => return on_mbus(meter, is_only),
        Protocol::Cjt188 => cjt188(meter)?.to_string(),
        Protocol::Dlt645 => dlt645(meter)?.to_string(),
    };
    Some(format!("address = \"{address}\"\n"))
}

fn on_mbus(meter: &Meter, is_only: bool) -> Option<String> {
    let who = secondary(meter);
    let number = who.and_then(|who| who.number());
    match (who.filter(|_| meter.is_selectable), meter.primary) {
        // The number alone says who it is; nothing has to change when the meter's version does.
        (Some(_), _) if is_only && number.is_some() => {
            Some(format!("address = \"{}\"\n", number.unwrap_or_default()))
        }
        (Some(who), _) => Some(format!("address = \"{who}\"\n")),
        (None, Some(primary)) => {
            let mut text = format!("address = {primary}\n");
            if let Some(number) = number.filter(|number| number.bytes().all(|b| b.is_ascii_digit())) {
                let _ = writeln!(text, "expected_number = \"{number}\"");
            }
            Some(text)
        }
        (None, None) => None,
    }
}

/// Text as TOML; a line's name may have any character but control ones.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// An id that no other meter has.
fn id(meter: &Meter, line: &str, ids: &mut HashSet<String>) -> String {
    let who = secondary(meter);
    let maker = who.and_then(|who| who.manufacturer());
    // Of CJ/T 188 the digits on its face, without the type.
    let printed = meter.address.as_deref().map(|address| address.rsplit(':').next().unwrap_or(address));
    let base = match (maker, who.and_then(|who| who.number()), meter.primary) {
        (Some(maker), Some(number), _) => format!("{maker}-{number}"),
        (None, Some(number), _) => number,
        (None, None, None) if printed.is_some() => printed.unwrap_or_default().to_owned(),
        (_, None, Some(primary)) => format!("{line}-{primary}"),
        (_, None, None) => format!("{line}-unknown"),
    };
    let mut proposal = base.clone();
    for again in 2.. {
        if ids.insert(proposal.clone()) {
            break;
        }
        proposal = format!("{base}-{again}");
    }
    proposal
}

/// The id under which this meter is configured on the line.
fn known<'l>(meter: &Meter, line: &'l line::Config) -> Option<&'l str> {
    let who = secondary(meter);
    let is_it = |known: &&line::Meter| {
        if known.driver.name() != meter.protocol.name() {
            return false;
        }
        let address = known.driver.address().unwrap_or_default();
        match meter.protocol {
            Protocol::Mbus => {}
            Protocol::Cjt188 => return cjt188(meter).is_some() && address.parse().ok() == cjt188(meter),
            Protocol::Dlt645 => {
                let known: Option<weir_dlt645::Address> = address.parse().ok();
                return known.zip(dlt645(meter)).is_some_and(|(known, found)| known.admits(&found));
            }
        }
        match address.parse::<u8>() {
            // At one primary address there may be two; the number tells which is meant.
            Ok(primary) => {
                Some(primary) == meter.primary
                    && known
                        .expected_number
                        .as_ref()
                        .is_none_or(|expected| Some(expected) == number(meter).as_ref())
            }
            Err(_) => {
                let address = address.parse::<Secondary>().ok();
                address.zip(who).is_some_and(|(address, who)| address.covers(&who))
            }
        }
    };
    line.meters.iter().find(is_it).map(|known| known.id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use weir_mbus::{Address, Mbus, Options};

    fn found(secondary: &str, primary: u8) -> Meter {
        let secondary = Some(secondary.to_owned()).filter(|text| !text.is_empty());
        let is_selectable = secondary.is_some();
        Meter { primary: Some(primary), is_selectable, secondary, ..spoken(Protocol::Mbus, None) }
    }

    fn spoken(protocol: Protocol, address: Option<&str>) -> Meter {
        Meter {
            protocol,
            baud: 2400,
            without_parity: false,
            address: address.map(str::to_owned),
            primary: None,
            secondary: None,
            is_selectable: false,
        }
    }

    fn line(meters: &[(&str, Address)]) -> line::Config {
        let meter = |(id, address): &(&str, Address)| {
            let driver = Box::new(Mbus::new(*address, Options::default()));
            line::Meter::new(*id, driver, Duration::from_secs(900))
        };
        line::Config {
            name: "riser-1".to_owned(),
            port: line::Port::Serial("/dev/ttyS0".into()),
            echo: false,
            repeats: 2,
            adapter_allowance: Duration::ZERO,
            rs485: None,
            keep_raw: false,
            time_zone: jiff::tz::TimeZone::UTC,
            meters: meters.iter().map(meter).collect(),
        }
    }

    #[test]
    fn a_meter_has_its_number_for_an_address_where_no_other_has_it_and_what_is_known_is_a_comment() {
        let report = Report {
            meters: vec![
                found("12345678.ELS.02.07", 1),
                found("12345679.ELS.02.07", 2),
                found("12345679.KAM.1B.16", 2),
                Meter { is_selectable: false, ..found("00000007.ELS.01.07", 9) },
                found("", 11),
                found("22222222.ELS.01.07", 12),
            ],
            troubles: vec!["several meters at address 2".to_owned()],
        };
        let known = Address::secondary("22222222".parse().unwrap());
        let text = list(&report, &line(&[("A-1", known)]), ["ELS-12345678", "A-1"].into_iter());
        let expected = r#"# 6 meters were found on line "riser-1"
# not cleared up: several meters at address 2

[[meters]]
id = "riser-1-11"
line = "riser-1"
driver = "mbus"
# primary address 11
address = 11
baud = 2400

[[meters]]
id = "ELS-00000007"
line = "riser-1"
driver = "mbus"
# ELS, version 01, water, primary address 9
address = 9
expected_number = "00000007"
baud = 2400

[[meters]]
id = "ELS-12345678-2"
line = "riser-1"
driver = "mbus"
# ELS, version 02, water, primary address 1
address = "12345678"
baud = 2400

[[meters]]
id = "ELS-12345679"
line = "riser-1"
driver = "mbus"
# ELS, version 02, water, primary address 2
address = "12345679.ELS.02.07"
baud = 2400

[[meters]]
id = "KAM-12345679"
line = "riser-1"
driver = "mbus"
# KAM, version 1B, cold-water, primary address 2
address = "12345679.KAM.1B.16"
baud = 2400

# Configured already, as "A-1":
# [[meters]]
# id = "A-1"
# line = "riser-1"
# driver = "mbus"
# # ELS, version 01, water, primary address 12
# address = "22222222"
# baud = 2400
"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn a_meter_that_told_its_printed_address_has_that_and_one_that_cannot_be_configured_is_a_comment() {
        let cjt188 = |address| spoken(Protocol::Cjt188, Some(address));
        let report = Report {
            meters: vec![
                cjt188("11:78330011223344"),
                Meter { without_parity: true, ..spoken(Protocol::Dlt645, Some("202107072529")) },
                cjt188("7833001122334F"),
                spoken(Protocol::Mbus, None),
            ],
            troubles: Vec::new(),
        };
        let text = list(&report, &line(&[]), ["78330011223344"].into_iter());
        let expected = r#"# 4 meters were found on line "riser-1"

# [[meters]]
# id = "riser-1-unknown"
# line = "riser-1"
# driver = "mbus"
# # it has no address under which it could be asked
# baud = 2400

[[meters]]
id = "78330011223344-2"
line = "riser-1"
driver = "cjt188"
# hot-water
address = "11:78330011223344"
baud = 2400

# [[meters]]
# id = "7833001122334F"
# line = "riser-1"
# driver = "cjt188"
# # it answered with 7833001122334F, which is no address that a meter can have
# baud = 2400

[[meters]]
id = "202107072529"
line = "riser-1"
driver = "dlt645"
address = "202107072529"
baud = 2400
parity = "none"
"#;
        assert_eq!(text, expected);
        let mut known = line(&[("W-1", Address::primary(1).unwrap())]);
        let profile = std::sync::Arc::new(weir_dlt645::Profile::built_in("standard").unwrap().unwrap());
        known.meters[0].driver = Box::new(weir_dlt645::Dlt645::new("AAAAAAAA2529".parse().unwrap(), profile));
        let text = list(&report, &known, std::iter::empty());
        assert!(text.contains("# Configured already, as \"W-1\":\n# [[meters]]\n# id = \"W-1\""), "{text}");
        assert_eq!(text.matches("Configured already").count(), 1, "{text}");
    }
}
