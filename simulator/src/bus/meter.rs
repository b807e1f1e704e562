//! One meter: its register and clock, what is wrong with it, and the protocol it speaks.
//!
//! The register grows by a drawn step with every answer that carries it, so no two answers are alike and a reading
//! can be traced to the one answer it came from. It stands still while the meter is not asked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use jiff::SignedDuration;
use jiff::civil::DateTime;
use rust_decimal::Decimal;

use super::{Answer, Obeyed, RegisterSaid, Reply, Valve, spoil};
use crate::config::{Kind, MeterPlan};
use crate::pacing::Character;
use crate::{Fault, FaultRule, ModbusFraming, Protocol, Said, cjt188, dlt645, mbus, modbus};

/// How slow the clock of a meter with [`Fault::ClockOff`] is: a day, an hour and 17 minutes, in seconds.
pub const CLOCK_OFF_S: i64 = 86_400 + 3_600 + 17 * 60;

/// Eight digits.
const SERIAL_MAX: u32 = 99_999_999;

/// The largest step of a register between two answers, in units of its last digit.
const STEP_MAX: u64 = 9;

/// What a meter knows when it is asked.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) serial: u32,
    /// In steps of the model's last digit, as all volumes.
    pub(crate) volume: u64,
    pub(crate) due_volume: u64,
    pub(crate) flow_l_per_h: u32,
    pub(crate) clock: DateTime,
    pub(crate) low_battery: bool,
    /// The time by no meter's clock, for what takes time.
    pub(crate) now: DateTime,
    /// What ails its valve.
    pub(crate) valve_fault: Option<Fault>,
}

/// What a handle may change in a meter while its line's thread uses it.
#[derive(Debug)]
pub(crate) struct MeterControl {
    dead: AtomicBool,
    faults: Mutex<Faults>,
    obeyed: Mutex<Obeyed>,
}

#[derive(Debug, Clone)]
struct Faults {
    rules: Vec<FaultRule>,
    /// Counts how often the rules were set: a roll-over happens once for each.
    setting: u64,
}

impl MeterControl {
    fn new(rules: Vec<FaultRule>) -> Self {
        let faults = Mutex::new(Faults { rules, setting: 1 });
        Self { dead: AtomicBool::new(false), faults, obeyed: Mutex::default() }
    }

    pub(crate) fn set_dead(&self, dead: bool) {
        self.dead.store(dead, Ordering::SeqCst);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    pub(crate) fn set_faults(&self, rules: Vec<FaultRule>) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.rules = rules;
        faults.setting += 1;
    }

    pub(crate) fn obeyed(&self) -> Obeyed {
        *self.obeyed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_obeyed(&self, obeyed: Obeyed) {
        *self.obeyed.lock().unwrap_or_else(PoisonError::into_inner) = obeyed;
    }

    /// The faults that strike this time, and which setting they are of.
    fn strike(&self, random: &mut fastrand::Rng) -> (Vec<Fault>, u64) {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let struck = faults.rules.iter().filter(|rule| random.f64() < rule.probability);
        (struck.map(|rule| rule.fault).collect(), faults.setting)
    }
}

#[derive(Debug)]
enum Slave {
    Mbus(mbus::Slave),
    Modbus(modbus::Slave),
    Cjt188(cjt188::Slave),
    Dlt645(dlt645::Slave),
}

#[derive(Debug)]
pub(crate) struct Meter {
    name: Arc<str>,
    kind: Kind,
    framing: ModbusFraming,
    slave: Slave,
    control: Arc<MeterControl>,
    random: fastrand::Rng,
    serial: u32,
    latency: Duration,
    paced: bool,
    slow: Duration,
    character: Character,
    register: u64,
    due_volume: u64,
    sequence: u64,
    last_said: String,
    rolled_in_setting: u64,
}

impl Meter {
    pub(super) fn new(plan: &MeterPlan, seed: u64, paced: bool, framing: ModbusFraming) -> Self {
        let mut random = fastrand::Rng::with_seed(seed ^ fnv_1a(&plan.name));
        let (decimals, _) = plan.kind.register();
        let cubic_metre = 10_u64.pow(decimals);
        // Drawn in any case, so that a value given in the configuration does not change the ones drawn after it.
        let (drawn_volume, drawn_latency_us, drawn_preamble) =
            (random.u64(10 * cubic_metre..9000 * cubic_metre), random.u64(11_000..30_000), random.u8(0..=4));
        let register = plan.volume.unwrap_or(drawn_volume);
        let valve = Valve::new(plan.valve_travel);
        let slave = match plan.kind {
            Kind::Mbus { address, manufacturer, version, model } => {
                Slave::Mbus(mbus::Slave::new(address, manufacturer, version, model).with_valve(valve))
            }
            Kind::Modbus { unit, model } => {
                Slave::Modbus(modbus::Slave::new(unit, model, framing).with_valve(valve))
            }
            Kind::Cjt188 { address, model, order, preamble } => {
                let preamble = preamble.unwrap_or(drawn_preamble);
                Slave::Cjt188(cjt188::Slave::new(address, model, order, preamble).with_valve(valve))
            }
            Kind::Dlt645 { address, preamble } => {
                Slave::Dlt645(dlt645::Slave::new(address, preamble.unwrap_or(drawn_preamble)))
            }
        };
        Self {
            name: plan.name.as_str().into(),
            kind: plan.kind,
            framing,
            slave,
            control: Arc::new(MeterControl::new(plan.faults.clone())),
            random,
            serial: plan.serial,
            latency: plan.latency.unwrap_or(Duration::from_micros(drawn_latency_us)),
            paced,
            slow: plan.slow,
            character: plan.character,
            register,
            due_volume: register - register / 10,
            sequence: 0,
            last_said: String::new(),
            rolled_in_setting: 0,
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn control(&self) -> &Arc<MeterControl> {
        &self.control
    }

    /// From the end of the request to the start of the answer on a paced line.
    pub(crate) fn latency(&self) -> Duration {
        self.latency
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.kind.protocol()
    }

    pub(super) fn character(&self) -> Character {
        self.character
    }

    /// The only meter behind its TCP address.
    pub(super) fn set_alone(&mut self) {
        if let Slave::Modbus(slave) = &mut self.slave {
            slave.set_alone();
        }
    }

    pub(super) fn hear(&mut self, frame: &[u8], now: DateTime) -> Option<Reply> {
        let concerned = match &self.slave {
            Slave::Mbus(slave) => slave.concerned_by(frame),
            Slave::Modbus(slave) => slave.concerned_by(frame),
            Slave::Cjt188(slave) => slave.concerned_by(frame),
            Slave::Dlt645(slave) => slave.concerned_by(frame),
        };
        if !concerned || self.control.is_dead() {
            return None;
        }
        let (faults, setting) = self.control.strike(&mut self.random);
        let has = |fault| faults.contains(&fault);
        let is_number = matches!(self.slave, Slave::Cjt188(_) | Slave::Dlt645(_));
        if has(Fault::Silent) || (has(Fault::Swapped) && is_number) {
            return None;
        }
        if has(Fault::RollOver) && self.rolled_in_setting != setting {
            self.rolled_in_setting = setting;
            self.register = self.kind.register().1 - 1;
        }
        let snapshot = self.snapshot(&faults, now);
        let answer = match &mut self.slave {
            Slave::Mbus(slave) => slave.hear(frame, &snapshot),
            Slave::Modbus(slave) => slave.hear(frame, &snapshot),
            Slave::Cjt188(slave) => slave.hear(frame, &snapshot),
            Slave::Dlt645(slave) => slave.hear(frame, &snapshot),
        };
        let obeyed = match &self.slave {
            Slave::Mbus(slave) => slave.obeyed,
            Slave::Modbus(slave) => slave.obeyed,
            Slave::Cjt188(slave) => slave.obeyed,
            Slave::Dlt645(slave) => slave.obeyed,
        };
        let is_lost = has(Fault::Mute)
            || (has(Fault::OrdersUnanswered) && obeyed != self.control.obeyed())
            || (has(Fault::MuteOnceOrdered) && obeyed != Obeyed::default());
        // Before the answer goes out: who has read it can look it up.
        self.control.set_obeyed(obeyed);
        let answer = answer.filter(|_| !is_lost)?;
        let spoilt = faults.iter().copied().find(|fault| fault.spoils());
        let said = self.account_for(&answer, spoilt);
        let bytes = spoil::spoil(answer.bytes, &faults, self.protocol(), self.framing, &mut self.random);
        let latency = if self.paced { self.latency } else { Duration::ZERO };
        // The answer still goes at the speed of the request.
        let character = self.character;
        if let Slave::Mbus(slave) = &mut self.slave
            && let Some(baud) = slave.take_speed()
        {
            self.character = character.at(baud);
        }
        Some(Reply {
            after: latency + if has(Fault::Slow) { self.slow } else { Duration::ZERO },
            bytes,
            character,
            said,
            spoilt,
            echoed: has(Fault::Echo),
        })
    }

    fn snapshot(&self, faults: &[Fault], now: DateTime) -> Snapshot {
        let off_by = if faults.contains(&Fault::ClockOff) { CLOCK_OFF_S } else { 0 };
        Snapshot {
            serial: if faults.contains(&Fault::Swapped) { self.serial % SERIAL_MAX + 1 } else { self.serial },
            volume: self.register,
            due_volume: self.due_volume,
            flow_l_per_h: u32::try_from(self.sequence * 37 % 900).unwrap_or(0) + 100,
            clock: now.saturating_sub(SignedDuration::from_secs(off_by)),
            low_battery: faults.contains(&Fault::LowBattery),
            now,
            valve_fault: faults.iter().copied().find(|fault| fault.is_of_valve()),
        }
    }

    /// Counts the register on and writes the journal's entry for an answer that carried it.
    fn account_for(&mut self, answer: &Answer, spoilt: Option<Fault>) -> Option<Said> {
        match answer.register {
            RegisterSaid::No => return None,
            RegisterSaid::Again => {}
            RegisterSaid::Anew => {
                self.sequence += 1;
                self.last_said = self.digits();
                let steps = self.kind.register().1;
                self.register = (self.register + self.random.u64(1..=STEP_MAX)) % steps;
            }
        }
        Some(Said {
            position: 0,
            meter: Arc::clone(&self.name),
            sequence: self.sequence,
            volume: self.last_said.clone(),
            unit: if self.protocol() == Protocol::Dlt645 { "kWh" } else { "m3" },
            at: SystemTime::UNIX_EPOCH,
            repeated: answer.register == RegisterSaid::Again,
            spoilt,
        })
    }

    /// The register as the model sends it.
    fn digits(&self) -> String {
        match self.kind {
            Kind::Modbus { model, .. } if model.sends_float() => {
                modbus::litres_as_float(self.register).to_string()
            }
            kind => Decimal::from_i128_with_scale(i128::from(self.register), kind.register().0).to_string(),
        }
    }
}

/// Gives each meter its own stream of chance, whatever other meters there are.
fn fnv_1a(name: &str) -> u64 {
    name.bytes()
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}
