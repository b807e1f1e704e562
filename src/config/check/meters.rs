//! `[[meters]]`: each with what its line gives as the default.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use weir_meter::{Serial, StopBits};

use super::super::driver::{self, Profiles, Wanted};
use super::super::file::{self, Framing, Protocol, Shared, Typed};
use super::super::notice::Findings;
use super::super::reader::nearest;
use super::super::source::{At, Place};
use super::lines::{self, Draft};
use super::{duration_within, names, number_within, schedule, selection};
use crate::line;

const BAUDS: RangeInclusive<u32> = 300..=921_600;
const USUAL_BAUDS: [u32; 13] =
    [300, 600, 1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600];
const ANSWER_WINDOWS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);
const LATE_WINDOWS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(300);
/// A line that is never silent for longer has a fault, which is told after four seconds.
const SILENCES: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(2);
/// Longer than any meter takes to wake up; a poll that waits must not hold up a stop.
const REQUEST_DELAYS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(5);
const REGISTER_DIGITS: RangeInclusive<u32> = 4..=20;
/// Digits of an M-Bus meter's identification number (EN 13757-3).
const MBUS_NUMBER_DIGITS: usize = 8;
/// Lines that a hint names, and lines that a mistyped name is compared with: a list of faults has to stay quick.
const NAMES_LISTED_MAX: usize = 8;
const NAMES_COMPARED_MAX: usize = 100;

/// Checks all meters and puts each on its line.
pub(super) fn meters(typed: &Typed, drafts: &mut [Draft<'_>], findings: &mut Findings) {
    let (mut ids, mut addresses) = (HashMap::new(), HashMap::new());
    let mut profiles = Profiles::default();
    // Of two lines of one name, which is a fault already, the first has the meters.
    let by_name: HashMap<String, usize> =
        drafts.iter().enumerate().rev().map(|(index, draft)| (draft.config.name.clone(), index)).collect();
    for meter in &typed.meters {
        findings.require("id", &meter.id, &meter.place, "give the meter's id, unlike any other in the fleet");
        if let Some(id) = &meter.id {
            names::is_name("id", id, findings);
            lines::unique(&mut ids, id.value.clone(), &id.place, "two meters have this id", findings);
        }
        let draft = line_of(meter, &by_name, drafts, typed.is_incomplete, findings);
        for key in ["driver", "profile", "framing"] {
            // Its line might have said it, or tried to.
            if draft.as_ref().is_none_or(|draft| findings.is_spoilt(&draft.typed.place, key)) {
                findings.spoil(&meter.place, key);
            }
        }
        let shared = match &draft {
            Some(draft) => with_defaults(&meter.shared, &draft.typed.shared),
            None => meter.shared.clone(),
        };
        let mut checked = Checker { meter, shared: &shared, findings: &mut *findings };
        let is_tcp = draft.as_ref().map(|draft| draft.typed.tcp.is_some());
        let built = checked.driver(is_tcp, &mut profiles);
        let config =
            checked.config(built, draft.as_ref().map_or("", |draft| &draft.config.name), &mut addresses);
        if let (Some((config, framing)), Some(draft)) = (config, draft) {
            draft.config.meters.push(config);
            draft.framings.push((framing, meter.place.clone()));
        }
    }
}

fn line_of<'d, 't>(
    meter: &file::Meter,
    by_name: &HashMap<String, usize>,
    drafts: &'d mut [Draft<'t>],
    is_incomplete: bool,
    findings: &mut Findings,
) -> Option<&'d mut Draft<'t>> {
    findings.require("line", &meter.line, &meter.place, "name the line it is wired to");
    let name = meter.line.as_ref()?;
    if let Some(index) = by_name.get(&name.value) {
        return drafts.get_mut(*index);
    }
    if is_incomplete {
        return None;
    }
    let known = || drafts.iter().map(|draft| draft.config.name.as_str()).filter(|name| !name.is_empty());
    let hint = match nearest(&name.value, known().take(NAMES_COMPARED_MAX)) {
        Some(near) => format!("did you mean {near:?}?"),
        None if by_name.is_empty() => "there are no [[lines]]".to_owned(),
        None => format!("there are {:?}", known().take(NAMES_LISTED_MAX).collect::<Vec<_>>()),
    };
    findings.fault(&name.place, format!("there is no line {:?}", name.value)).hint(hint);
    None
}

/// What the meter says itself, and for the rest what its line says for all.
fn with_defaults(own: &Shared, line: &Shared) -> Shared {
    let driver = own.driver.clone().or(line.driver.clone());
    let protocol = |driver: &Option<At<Protocol>>| driver.as_ref().map(|driver| driver.value);
    // A profile belongs to a protocol, so a line's is for the meters that speak the line's.
    let line_profile = line.profile.clone().filter(|_| protocol(&driver) == protocol(&line.driver));
    let line_framing = line.framing.clone().filter(|_| protocol(&driver) == Some(Protocol::Modbus));
    let line_vif_text = line.vif_text.clone().filter(|_| protocol(&driver) == Some(Protocol::Mbus));
    Shared {
        profile: own.profile.clone().or(line_profile),
        framing: own.framing.clone().or(line_framing),
        driver,
        every: own.every.clone().or(line.every.clone()),
        offset: own.offset.clone().or(line.offset.clone()),
        reads_per_day_max: own.reads_per_day_max.clone().or(line.reads_per_day_max.clone()),
        answer_window: own.answer_window.clone().or(line.answer_window.clone()),
        late_window: own.late_window.clone().or(line.late_window.clone()),
        silence: own.silence.clone().or(line.silence.clone()),
        request_delay: own.request_delay.clone().or(line.request_delay.clone()),
        register_digits: own.register_digits.clone().or(line.register_digits.clone()),
        baud: own.baud.clone().or(line.baud.clone()),
        parity: own.parity.clone().or(line.parity.clone()),
        stop_bits: own.stop_bits.clone().or(line.stop_bits.clone()),
        keep: own.keep.clone().or(line.keep.clone()),
        vif_text: own.vif_text.clone().or(line_vif_text),
    }
}

struct Checker<'c> {
    meter: &'c file::Meter,
    /// The meter's own values with its line's defaults.
    shared: &'c Shared,
    findings: &'c mut Findings,
}

impl Checker<'_> {
    fn driver(
        &mut self,
        is_tcp: Option<bool>,
        profiles: &mut Profiles,
    ) -> Option<(driver::Built, Option<Framing>)> {
        let place = &self.meter.place;
        let hint =
            "\"mbus\", \"modbus\", \"cjt188\" or \"dlt645\", here or at its line for all meters of the line";
        self.findings.require("driver", &self.shared.driver, place, hint);
        let protocol = self.shared.driver.as_ref()?.value;
        let hint = match protocol {
            Protocol::Mbus => "give its primary address, 1 to 250, or its secondary address in quotes",
            Protocol::Modbus => "give its unit id, 1 to 247",
            Protocol::Cjt188 => "give the fourteen digits printed on the meter, in quotes",
            Protocol::Dlt645 => "give the twelve digits printed on the meter, in quotes",
        };
        self.findings.require("address", &self.meter.address, place, hint);
        let framing = self.framing(protocol, is_tcp);
        let wanted = Wanted {
            place,
            address: self.meter.address.as_ref(),
            profile: self.shared.profile.as_ref(),
            framing: framing.unwrap_or(Framing::Rtu),
            key_file: self.meter.key_file.as_ref(),
            vif_text: self.shared.vif_text.as_ref(),
        };
        self.only_mbus(protocol);
        let built = driver::build(protocol, &wanted, profiles, self.findings)?;
        Some((built, framing.filter(|_| protocol == Protocol::Modbus)))
    }

    /// What only an M-Bus meter can have.
    fn only_mbus(&mut self, protocol: Protocol) {
        if protocol == Protocol::Mbus {
            return;
        }
        let key_file = self.meter.key_file.as_ref().map(|at| ("key_file", &at.place));
        let vif_text = self.shared.vif_text.as_ref().map(|at| ("vif_text", &at.place));
        for (key, place) in [key_file, vif_text].into_iter().flatten() {
            let message = format!("`{key}` is for mbus, and the meter speaks {}", protocol.name());
            self.findings.fault(place, message);
        }
    }

    /// A wrong guess on a TCP line would look like a dead meter, so there it must be said.
    fn framing(&mut self, protocol: Protocol, is_tcp: Option<bool>) -> Option<Framing> {
        match (&self.shared.framing, protocol, is_tcp) {
            (Some(framing), Protocol::Mbus | Protocol::Cjt188 | Protocol::Dlt645, _) => {
                let message = format!("`framing` is for modbus, and the meter speaks {}", protocol.name());
                self.findings.fault(&framing.place, message);
                None
            }
            (Some(framing), Protocol::Modbus, Some(false)) if framing.value == Framing::Tcp => {
                let hint = "leave it out, or give the line `tcp` in place of `port`";
                self.findings.fault(&framing.place, "a serial line carries no Modbus TCP").hint(hint);
                None
            }
            (None, Protocol::Modbus, Some(true)) => {
                let hint = "\"tcp\" for a Modbus TCP device or gateway (often port 502), \"rtu\" for a serial server \
                            that passes bytes through; here or at the line";
                self.findings.require("framing", &None::<()>, &self.meter.place, hint);
                None
            }
            (framing, _, _) => framing.as_ref().map(|framing| framing.value),
        }
    }

    fn config(
        &mut self,
        built: Option<(driver::Built, Option<Framing>)>,
        line: &str,
        addresses: &mut HashMap<String, Place>,
    ) -> Option<(line::Meter, Option<Framing>)> {
        let schedule = schedule::schedule(self.shared, self.findings);
        let waits = waits(self.shared, self.findings);
        let register_digits = register_digits(self.shared, self.findings);
        let serial = serial(
            self.shared,
            built.as_ref().map_or(Serial::DEFAULT, |(built, _)| built.serial),
            self.findings,
        );
        let selection = selection::selection(self.shared.keep.as_ref(), self.findings);
        let (built, framing) = built?;
        if let (Some(address), true) = (&self.meter.address, !line.is_empty()) {
            let key = format!("{line}\0{}", built.same_as);
            let message = "two meters have this address on one line";
            lines::unique(addresses, key, &address.place, message, self.findings);
        }
        let config = line::Meter {
            id: self.meter.id.as_ref()?.value.clone(),
            driver: built.driver,
            serial,
            every: schedule.every,
            offset: schedule.offset,
            reads_per_day_max: schedule.reads_per_day_max,
            answer_window: waits.answer_window,
            late_window: waits.late_window,
            silence: waits.silence,
            request_delay: waits.request_delay,
            register_digits,
            expected_number: self.expected_number(built.number),
            selection: selection.or(built.selection),
        };
        Some((config, framing))
    }

    /// What was typed, or what the address says: a meter that is selected by its number must answer with it.
    fn expected_number(&mut self, by_address: Option<String>) -> Option<String> {
        let Some(number) = self.meter.expected_number.as_ref() else { return by_address };
        let is_mbus = self.shared.driver.as_ref().is_some_and(|driver| driver.value == Protocol::Mbus);
        // Some manufacturers have hex digits in their numbers.
        let digits = number.value.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
        if is_mbus && !(digits && number.value.len() == MBUS_NUMBER_DIGITS) {
            let hint = "with its leading zeros, such as \"00123456\"";
            let message = format!("an M-Bus meter's number has {MBUS_NUMBER_DIGITS} digits");
            self.findings.fault(&number.place, message).hint(hint);
        } else if number.value.is_empty() {
            self.findings
                .fault(&number.place, "`expected_number` is empty")
                .hint("leave it out to check nothing");
        }
        if let Some(by_address) = by_address.filter(|by_address| *by_address != number.value) {
            let message =
                format!("`expected_number` is not the number in the meter's `address`, {by_address}");
            self.findings.fault(&number.place, message).hint("leave it out: the address says it already");
        }
        Some(number.value.clone())
    }
}

/// The waits of a meter that are set.
pub(super) struct Waits {
    answer_window: Option<Duration>,
    late_window: Option<Duration>,
    silence: Option<Duration>,
    request_delay: Duration,
}

/// Checks them.
pub(super) fn waits(typed: &Shared, findings: &mut Findings) -> Waits {
    let answer = duration_within("answer_window", typed.answer_window.as_ref(), ANSWER_WINDOWS, findings);
    let late = duration_within("late_window", typed.late_window.as_ref(), LATE_WINDOWS, findings);
    let silence = duration_within("silence", typed.silence.as_ref(), SILENCES, findings);
    let delay = duration_within("request_delay", typed.request_delay.as_ref(), REQUEST_DELAYS, findings);
    Waits { answer_window: answer, late_window: late, silence, request_delay: delay.unwrap_or_default() }
}

/// Digits of the register.
pub(super) fn register_digits(typed: &Shared, findings: &mut Findings) -> Option<u32> {
    number_within("register_digits", typed.register_digits.as_ref(), REGISTER_DIGITS, "", findings)
}

/// Speed, parity and stop bits, over those that the driver or profile would take.
pub(super) fn serial(typed: &Shared, default: Serial, findings: &mut Findings) -> Serial {
    let baud = number_within("baud", typed.baud.as_ref(), BAUDS, " Bd", findings);
    if let (Some(at), Some(baud)) = (&typed.baud, baud.filter(|baud| !USUAL_BAUDS.contains(baud))) {
        let near = USUAL_BAUDS.iter().min_by_key(|usual| usual.abs_diff(baud)).unwrap_or(&baud);
        let message = format!("{baud} Bd is no usual speed, and many ports cannot be set to it");
        findings.warn(&at.place, message).hint(format!("the nearest usual one is {near}"));
    }
    let stop_bits = match number_within("stop_bits", typed.stop_bits.as_ref(), 1..=2, "", findings) {
        Some(2) => StopBits::Two,
        Some(_) => StopBits::One,
        None => default.stop_bits,
    };
    Serial {
        baud: baud.unwrap_or(default.baud),
        parity: typed.parity.as_ref().map_or(default.parity, |parity| parity.value),
        stop_bits,
    }
}
