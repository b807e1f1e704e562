//! The searches, and what the M-Bus driver may change in a meter, on ptys with simulated meters.

use std::path::{Path, PathBuf};

use jiff::civil::datetime;
use tempfile::TempDir;
use weir_mbus::services::{self, ClockForm};
use weir_meter::Line;
use weir_simulator as sim;

use super::*;
use crate::line::{Config, Port, run_once};

struct Site {
    _simulator: sim::Simulator,
    _folder: TempDir,
    path: PathBuf,
}

fn site(shape: impl FnOnce(&mut sim::LineConfig), meters: Vec<sim::MeterConfig>) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tty");
    // Fast, so that a silence costs little; what is waited for is the window, which no machine is too slow for.
    let mut line = sim::LineConfig { baud: 38_400, ..sim::LineConfig::pty("riser", &path) }.with(meters);
    shape(&mut line);
    let config = sim::Config { lines: vec![line], ..sim::Config::default() };
    Site { _simulator: sim::Simulator::start(config).unwrap(), _folder: folder, path }
}

fn line(path: &Path, echo: bool) -> Config {
    Config {
        name: "riser".into(),
        port: Port::Serial(path.into()),
        echo,
        repeats: 2,
        adapter_allowance: Duration::from_millis(150),
        rs485: None,
        keep_raw: false,
        time_zone: jiff::tz::TimeZone::UTC,
        meters: Vec::new(),
    }
}

fn wanted(bauds: &[u32]) -> Wanted {
    by(Protocol::Mbus, bauds)
}

fn by(protocol: Protocol, bauds: &[u32]) -> Wanted {
    Wanted {
        spoken: vec![Spoken { protocol, bauds: bauds.to_vec(), without_parity: false }],
        primary: Some((1, 3)),
        secondary: Some("FFFFFFFF".into()),
        tries: 1,
        is_thorough: false,
        hex_digits: false,
    }
}

async fn search(site: &Site, echo: bool, wanted: Wanted) -> Result<Report, SearchError> {
    let (tell, _steps) = mpsc::channel(1);
    run_once(&line(&site.path, echo), Scan::new(wanted, tell)).await.unwrap()
}

fn meter(name: &str, serial: u32, address: u8) -> sim::MeterConfig {
    sim::MeterConfig {
        serial: Some(serial),
        shares_address: true,
        ..sim::MeterConfig::mbus(name).address(address)
    }
}

#[tokio::test]
async fn meters_are_found_at_each_speed_and_two_at_one_address_are_told_of() {
    let slow = sim::MeterConfig { baud: Some(9600), ..meter("slow", 77_000_003, 3) };
    let meters = vec![meter("A", 12_345_678, 2), meter("B", 12_345_679, 2), slow];
    let site = site(|line| line.strict_baud = true, meters);
    let report = search(&site, false, wanted(&[9600, 38_400])).await.unwrap();
    let found: Vec<_> =
        report.meters.iter().map(|meter| (meter.baud, meter.secondary.clone().unwrap())).collect();
    let expected = [(9600, "77000003"), (38_400, "12345678"), (38_400, "12345679")];
    assert_eq!(found, expected.map(|(baud, number)| (baud, format!("{number}.SIM.01.16"))));
    assert_eq!(
        report.troubles,
        ["several meters at address 2, or a disturbed line: search by secondary address"]
    );
}

#[tokio::test]
async fn an_echo_that_is_not_configured_and_one_that_stays_away_are_named() {
    let echoing = site(|line| line.echo = true, vec![meter("A", 12_345_678, 2)]);
    assert_eq!(search(&echoing, false, wanted(&[38_400])).await, Err(SearchError::Echo));
    assert_eq!(search(&echoing, true, wanted(&[38_400])).await.unwrap().meters.len(), 1);
    let without = site(|_| {}, vec![meter("A", 12_345_678, 2)]);
    assert_eq!(search(&without, true, wanted(&[38_400])).await, Err(SearchError::NoEcho));
}

fn addresses(report: &Report) -> Vec<(u32, &str)> {
    report.meters.iter().map(|meter| (meter.baud, meter.address.as_deref().unwrap())).collect()
}

#[tokio::test]
async fn a_cjt188_or_dlt645_meter_that_is_alone_tells_its_address_at_the_speed_at_which_it_listens() {
    let hot = sim::MeterConfig::cjt188("W").address("78330011223344").model("hot");
    // It understands one order of the identifier's bytes, and not the one that is asked first.
    let hot = sim::MeterConfig { di_order: sim::DiOrder::HighFirst, ..hot };
    let water = site(|line| line.strict_baud = true, vec![hot]);
    let report = search(&water, false, by(Protocol::Cjt188, &[9600, 38_400])).await.unwrap();
    assert_eq!(addresses(&report), [(38_400, "11:78330011223344")]);
    assert!(report.troubles.is_empty(), "{report:?}");

    let room = vec![
        sim::MeterConfig::cjt188("W").address("78330011223344"),
        sim::MeterConfig::dlt645("E").address("202107072529"),
    ];
    let room = site(|_| {}, room);
    let both = [Protocol::Cjt188, Protocol::Dlt645].map(|protocol| by(protocol, &[38_400]).spoken);
    let wanted = Wanted { spoken: both.concat(), ..wanted(&[]) };
    let report = search(&room, false, wanted).await.unwrap();
    assert_eq!(addresses(&report), [(38_400, "78330011223344"), (38_400, "202107072529")]);
    assert!(report.troubles.is_empty(), "{report:?}");
}

#[tokio::test]
async fn several_who_answer_at_once_are_told_as_several_and_never_as_nobody() {
    let water = |id: &str, number: u8, latency| {
        sim::MeterConfig::cjt188(id).address(format!("7833001122{number:04}").as_str()).latency_ms(latency)
    };
    let power = |id: &str, number: u8, latency| {
        sim::MeterConfig::dlt645(id).address(format!("2021070725{number:02}").as_str()).latency_ms(latency)
    };
    // Over each other; and one after the other, where each of them is whole.
    for (second, found) in [(20, 0), (120, 2)] {
        for protocol in [Protocol::Cjt188, Protocol::Dlt645] {
            let meters = match protocol {
                Protocol::Cjt188 => vec![water("A", 12, 20), water("B", 23, second)],
                _ => vec![power("A", 12, 20), power("B", 23, second)],
            };
            let report = search(&site(|_| {}, meters), false, by(protocol, &[38_400])).await.unwrap();
            let name = protocol.name();
            let told = report.troubles.iter().any(|told| told.contains(&format!("several {name} meters")));
            assert!(told, "{report:?}");
            assert_eq!(report.meters.len(), found, "{report:?}");
        }
    }
}

#[tokio::test]
async fn nobody_is_nobody_and_an_echo_is_named_on_every_protocol() {
    for protocol in [Protocol::Cjt188, Protocol::Dlt645] {
        let modbus = || vec![sim::MeterConfig::modbus("M").address(1).model("bench")];
        let report = search(&site(|_| {}, modbus()), false, by(protocol, &[38_400])).await.unwrap();
        assert_eq!(report, Report::default());
        let alone = || match protocol {
            Protocol::Cjt188 => vec![sim::MeterConfig::cjt188("A").address("78330011223344")],
            _ => vec![sim::MeterConfig::dlt645("A").address("202107072529")],
        };
        let echoing = site(|line| line.echo = true, alone());
        let found = search(&echoing, false, by(protocol, &[38_400])).await;
        assert_eq!(found, Err(SearchError::Echo));
        assert_eq!(search(&echoing, true, by(protocol, &[38_400])).await.unwrap().meters.len(), 1);
        let without = site(|_| {}, alone());
        let found = search(&without, true, by(protocol, &[38_400])).await;
        assert_eq!(found, Err(SearchError::NoEcho));
    }
}

/// Changes all that can be changed in a meter, by its secondary address.
struct Change;

#[async_trait]
impl Job for Change {
    type Output = Result<(), Fault>;

    fn purpose(&self) -> String {
        "change a meter".into()
    }

    fn time_max(&self) -> Duration {
        Duration::from_secs(300)
    }

    async fn run(&mut self, line: &mut Lent<'_>) -> Self::Output {
        let serial = Serial { baud: 38_400, ..Serial::DEFAULT };
        let mut line = line.on(&Terms { serial, timing: timing(&serial), repeats: 2 });
        let line: &mut dyn Line = &mut line;
        let meter = weir_mbus::Address::secondary("12345678.SIM.01.16".parse().unwrap());
        let set = services::set_primary_address(line, meter, 9).await?;
        assert_eq!(set.read_back.identity.number.as_deref(), Some("12345678"));
        let taken = services::set_primary_address(line, meter, 3).await.unwrap_err();
        assert!(taken.to_string().contains("somebody answers at address 3"), "{taken}");
        let clock = datetime(2031, 2, 3, 4, 5, 6, 0);
        for form in [ClockForm::F, ClockForm::I] {
            let read_back = services::set_clock(line, meter, clock, form).await?.read_back.unwrap();
            let ahead = clock.duration_until(read_back).as_secs();
            // To the minute in the answer, and a minute may have passed.
            assert!((-60..600).contains(&ahead), "{read_back}");
        }
        services::reset_application(line, meter, Some(0)).await?;
        let first = services::switch_baud(line, meter, &serial, 9600).await?;
        assert_eq!(first.identity.number.as_deref(), Some("12345678"));
        // It has left this speed.
        let gone = services::reset_application(line, meter, None).await.unwrap_err();
        assert_eq!(gone.name(), "silent");
        Ok(())
    }
}

#[tokio::test]
async fn a_meter_takes_address_clock_and_speed_and_is_read_back() {
    let meters = vec![meter("A", 12_345_678, 2), meter("B", 12_345_679, 3)];
    let site = site(|line| line.strict_baud = true, meters);
    run_once(&line(&site.path, false), Change).await.unwrap().unwrap();
}
