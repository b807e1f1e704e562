//! Commands to Modbus meters: one that says its number in registers, and one whose registers hold a tariff.

use std::time::Duration;

use jiff::civil::{Date, date};
use serde_json::Value;
use weir_simulator::Fault;

use crate::harness::fleet::{Fleet, Street};
use crate::harness::orders::{PATIENCE, Signer, quick_valves};
use crate::harness::weir::{Weir, settings};

/// That of the simulated model `tariff`; no meter with such registers is known.
const TARIFF: &str = "model = \"simulated tariff\"\n\
    [identity]\nnumber = { at = 2, type = \"u32\" }\n\
    [[value]]\nquantity = \"volume\"\nunit = \"m3\"\nat = 0\ntype = \"u32\"\nscale = 0.001\n\
    [tariff]\nat = 16\ntype = \"u32\"\nprice_places = 2\n\
    layout = [\"price\", \"from\", \"price\", \"year\", \"month\", \"day\"]\n";

/// Two Xintai meters whose numbers are configured, one whose number nobody has configured, and one with a tariff.
const SERIALS: [u32; 4] = [50_300_017, 50_300_018, 50_300_019, 50_300_020];

/// For so long a meter may show its old tariff.
const STORED_WITHIN: Duration = Duration::from_secs(10);

struct Site {
    fleet: Fleet,
    signer: Signer,
    weir: Weir,
}

impl Site {
    fn start() -> Self {
        let mut street = Street::modbus("plant", 4).key("every = \"1m\"\nadapter_allowance = \"500ms\"");
        let models = ["xintai", "xintai", "xintai", "tariff"];
        for ((meter, model), serial) in street.simulated.meters.iter_mut().zip(models).zip(SERIALS) {
            (meter.model, meter.serial) = (Some(model.into()), Some(serial));
        }
        let (fleet, signer) = (Fleet::start(67, [street]), Signer::new());
        let mut weir = Weir::prepare(|folder| {
            quick_valves(folder);
            std::fs::write(folder.join("tariff.toml"), TARIFF).unwrap();
            let mut lines = fleet.config().replace("\"xintai-valve\"", "\"quick-xintai.toml\"");
            // Sixteen digits of a Xintai meter, and a plain number of the other.
            for (meter, number) in [
                ("plant-1", format!("{:016}", SERIALS[0])),
                ("plant-2", format!("{:016}", SERIALS[1])),
                ("plant-4", SERIALS[3].to_string()),
            ] {
                let id = format!("id = {meter:?}\n");
                lines = lines.replace(&id, &format!("{id}expected_number = {number:?}\n"));
            }
            let commands = signer.config("weir.commands");
            format!("{}\n{commands}\n{lines}", settings(folder, "127.0.0.1:9", ""))
        });
        weir.start();
        weir.wait_ready(PATIENCE);
        Self { fleet, signer, weir }
    }

    /// How this command ended: its state and reason.
    fn end(&self, meter: &str, action: &str, more: &[&str]) -> (String, (String, String)) {
        let (jws, id) = self.signer.sign(meter, action, more);
        self.weir.submit(&jws);
        let row = self.weir.wait_command_end(&id, PATIENCE);
        let word = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
        (id, (word("state"), word("reason")))
    }
}

fn is(state: &str, reason: &str) -> (String, String) {
    (state.to_owned(), reason.to_owned())
}

#[test]
fn a_valve_is_moved_only_where_the_registers_say_the_expected_number() {
    let site = Site::start();
    // Another meter hangs at its address.
    site.fleet.meter("plant-2").set_fault(Some(Fault::Swapped));
    for (meter, end, orders) in [
        ("plant-1", is("done", "-"), 1),
        ("plant-2", is("rejected", "wrong-meter"), 0),
        ("plant-3", is("rejected", "no-identity"), 0),
    ] {
        assert_eq!(site.end(meter, "valve.close", &[]).1, end, "{meter}");
        assert_eq!(site.fleet.meter(meter).obeyed().valve, orders, "{meter}");
    }
    // It is about who is there now, and not about who once was.
    site.fleet.meter("plant-2").set_fault(None);
    assert_eq!(site.end("plant-2", "valve.close", &[]).1, is("done", "-"));
    assert_eq!(site.fleet.meter("plant-2").obeyed().valve, 1);
}

#[test]
fn a_tariff_in_registers_is_read_back_whole_and_one_of_another_day_has_failed() {
    let mut site = Site::start();
    let file = site.weir.folder().join("tariff.json");
    let file = file.to_str().unwrap().to_owned();
    let order = |site: &Site, day: Date, price: &str| {
        let steps = format!(r#"[{{ "from_m3": 0, "price": {price} }}, {{ "from_m3": 220, "price": 4.83 }}]"#);
        std::fs::write(&file, format!(r#"{{ "effective_from": "{day}", "steps": {steps} }}"#)).unwrap();
        site.end("plant-4", "tariff.set", &["--tariff", &file])
    };
    let (good, end) = order(&site, date(2031, 1, 1), "3.45");
    assert_eq!(end, is("done", "-"));
    // This meter keeps a day after the 28th as the 28th: the prices are as ordered, and count from another day.
    let (other_day, end) = order(&site, date(2031, 1, 31), "3.51");
    assert_eq!(end, is("failed", "-"));
    // Beyond its decimals: nothing is written.
    assert_eq!(order(&site, date(2031, 2, 1), "3.455").1, is("rejected", "not-supported"));
    assert_eq!(site.fleet.meter("plant-4").obeyed().tariff, 2);
    site.weir.times_of(&other_day).assert_settled(STORED_WITHIN, 1);

    assert_eq!(site.weir.stop(PATIENCE).code(), Some(0));
    let outcomes = site.weir.waiting_outcomes();
    for (id, day, price) in [(&good, "2031-01-01", "3.45"), (&other_day, "2031-01-28", "3.51")] {
        let is_end = |outcome: &&Value| outcome["command"] == id.as_str() && outcome["final"] == true;
        let observed = &outcomes.iter().find(is_end).unwrap()["observed"];
        assert_eq!(observed["tariff_from"], day, "{observed:#}");
        assert_eq!(observed["tariff"][0]["price"].to_string(), price, "{observed:#}");
        assert_eq!(observed["tariff"][1]["from_m3"].to_string(), "220", "{observed:#}");
    }
}
