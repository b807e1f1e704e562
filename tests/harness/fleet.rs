//! Simulated lines with their meters, and the same lines in the daemon's words.
//!
//! Serial lines are ptys that the daemon opens by path. They run at a multiple of a real line's speed, with the real
//! order of things on the wire. The simulator shares no code with the daemon's drivers, and its journal says to the
//! last digit what each meter said: that is what stories compare with.

use std::collections::BTreeSet;
use std::fmt::Write;

use tempfile::TempDir;
use weir_simulator::{
    Address, Config, Journal, LineConfig, LineHandle, MeterConfig, MeterHandle, ModbusFraming, Parity,
    Protocol, Simulator,
};

/// Fast enough for some ten polls a second, slow enough that bytes come one after the other.
const BAUD: u32 = 38_400;

/// A line before it is built: made by protocol, then changed field by field.
#[derive(Clone, Debug)]
pub(crate) struct Street {
    /// What is simulated.
    pub(crate) simulated: LineConfig,
    /// Keys of the daemon's `[[lines]]` besides name, place, driver and speed.
    pub(crate) keys: String,
    driver: &'static str,
}

impl Street {
    /// M-Bus meters `<name>-1`, `<name>-2`, … of all models in turn, on a pty.
    pub(crate) fn mbus(name: &str, count: u8) -> Self {
        let models = ["typical", "short", "long", "two-telegrams"];
        Self::pty(name, "mbus").with(count, &models, |id, number| MeterConfig::mbus(id).address(number))
    }

    /// Modbus RTU meters of all models in turn, on a pty.
    pub(crate) fn modbus(name: &str, count: u8) -> Self {
        let models = ["ultrasonic", "bove", "xintai", "bench"];
        let mut street = Self::pty(name, "modbus")
            .with(count, &models, |id, number| MeterConfig::modbus(id).address(number));
        street.simulated.parity = Parity::None;
        street.keys.push_str("parity = \"none\"\n");
        street
    }

    /// CJ/T 188 meters for cold and hot water in turn, on a pty.
    pub(crate) fn cjt188(name: &str, count: u8) -> Self {
        let address = |number: u8| format!("7833001122{number:04}");
        Self::pty(name, "cjt188").with(count, &["cold", "hot"], |id, number| {
            MeterConfig::cjt188(id).address(address(number).as_str())
        })
    }

    /// A meter room: so many CJ/T 188 water meters and DL/T 645 electricity meters on one pty, the latter as `<name>-e1`, …
    pub(crate) fn meter_room(name: &str, water: u8, electricity: u8) -> Self {
        let mut street = Self::cjt188(name, water);
        street.simulated.meters.extend((1..=electricity).map(|number| {
            MeterConfig::dlt645(format!("{name}-e{number}"))
                .address(format!("2021070725{number:02}").as_str())
        }));
        street
    }

    /// Modbus TCP units behind one address.
    pub(crate) fn modbus_tcp(name: &str, count: u8) -> Self {
        let simulated =
            LineConfig { modbus: ModbusFraming::Tcp, ..LineConfig::tcp(name, ([127, 0, 0, 1], 0).into()) };
        let street = Self { simulated, keys: "framing = \"tcp\"\n".into(), driver: "modbus" };
        street.with(count, &["ultrasonic", "bench"], |id, number| MeterConfig::modbus(id).address(number))
    }

    fn pty(name: &str, driver: &'static str) -> Self {
        let simulated = LineConfig { baud: BAUD, ..LineConfig::pty(name, "") };
        Self { simulated, keys: format!("baud = {BAUD}\n"), driver }
    }

    fn with(mut self, count: u8, models: &[&str], meter: impl Fn(String, u8) -> MeterConfig) -> Self {
        let name = self.simulated.name.clone();
        let models = models.iter().cycle();
        let meters = (1..=count)
            .zip(models)
            .map(|(number, model)| meter(format!("{name}-{number}"), number).model(*model));
        self.simulated.meters.extend(meters);
        self
    }

    /// The same with another key or two for the daemon's line.
    pub(crate) fn key(mut self, keys: &str) -> Self {
        self.keys.push_str(keys);
        self.keys.push('\n');
        self
    }
}

/// Running simulated lines.
#[derive(Debug)]
pub(crate) struct Fleet {
    streets: Vec<Street>,
    simulator: Simulator,
    /// Where the ptys are linked.
    _folder: TempDir,
}

impl Fleet {
    pub(crate) fn start(seed: u64, streets: impl IntoIterator<Item = Street>) -> Self {
        let folder = tempfile::Builder::new().prefix("lines-").tempdir().unwrap();
        let mut streets: Vec<Street> = streets.into_iter().collect();
        for street in &mut streets {
            let link = folder.path().join(&street.simulated.name);
            street.simulated.pty = street.simulated.pty.as_ref().map(|_| link);
        }
        let lines = streets.iter().map(|street| street.simulated.clone()).collect();
        let simulator = Simulator::start(Config { seed, lines, ..Config::default() }).unwrap();
        Self { streets, simulator, _folder: folder }
    }

    /// The daemon's `[[lines]]` and `[[meters]]` for all of it.
    pub(crate) fn config(&self) -> String {
        let mut text = String::new();
        for street in &self.streets {
            let line = self.line(&street.simulated.name);
            let place = match (line.path(), line.address()) {
                (Some(path), _) => format!("port = {path:?}"),
                (None, Some(address)) => format!("tcp = \"{address}\""),
                (None, None) => panic!("a line in memory is not for the daemon"),
            };
            let name = line.name();
            let _ = writeln!(
                text,
                "[[lines]]\nname = {name:?}\n{place}\ndriver = {:?}\n{}",
                street.driver, street.keys
            );
            for meter in &street.simulated.meters {
                text.push_str(&meter_config(name, meter));
            }
        }
        text
    }

    pub(crate) fn line(&self, name: &str) -> &LineHandle {
        self.simulator.line(name).unwrap()
    }

    pub(crate) fn meter(&self, id: &str) -> MeterHandle {
        self.simulator.meter(id).unwrap()
    }

    pub(crate) fn meters(&self) -> Vec<MeterHandle> {
        self.simulator.meters()
    }

    pub(crate) fn journal(&self) -> &Journal {
        self.simulator.journal()
    }

    /// Every volume the meter has ever said, in the order in which it said them first.
    pub(crate) fn volumes_of(&self, meter: &str) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let said = self.journal().of(meter).into_iter().filter(|said| !said.repeated);
        said.map(|said| said.volume).filter(|volume| seen.insert(volume.clone())).collect()
    }

    /// No meter says anything any more.
    pub(crate) fn silence(&self) {
        self.meters().iter().for_each(MeterHandle::silence);
    }
}

fn meter_config(line: &str, meter: &MeterConfig) -> String {
    let model = meter.model.as_deref();
    let address = match &meter.address {
        Some(Address::Number(number)) => number.to_string(),
        Some(Address::Digits(digits)) if model == Some("hot") => format!("\"11:{digits}\""),
        Some(Address::Digits(digits)) => format!("{digits:?}"),
        None => panic!("{} has no address", meter.name),
    };
    let profile = match (meter.protocol, model) {
        (Protocol::Modbus, Some("bove")) => "profile = \"bove-ultrasonic\"\n",
        (Protocol::Modbus, Some("xintai")) => "profile = \"xintai-valve\"\n",
        (Protocol::Modbus, Some("bench")) => "profile = \"generic-20\"\n",
        // None that is shipped has a tariff: the story's own.
        (Protocol::Modbus, Some("tariff")) => "profile = \"tariff.toml\"\n",
        (Protocol::Modbus, _) => "profile = \"generic-ultrasonic\"\n",
        // Its line is one of water meters.
        (Protocol::Dlt645, _) => "driver = \"dlt645\"\n",
        _ => "",
    };
    format!("[[meters]]\nid = {:?}\nline = {line:?}\naddress = {address}\n{profile}\n", meter.name)
}
