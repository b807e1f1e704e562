//! The `[tariff]` table of a profile: the registers of a tariff, which are written by one request and read back.
//!
//! They follow each other without gaps, so that no meter is ever left with half a tariff. Steps that a tariff does not
//! need repeat its last price from the highest volume that the registers hold: nobody is charged otherwise by them.

use jiff::civil::Date;
use weir_wire::{Number, Tariff, TariffStep};

use super::map::{Map, function_code};
use super::section::Section;
use crate::frame::FunctionCode;
use crate::plan::Block;
use crate::types::Order;

/// Application Protocol V1.1b3, 6.12.
const WRITE_REGISTERS_MAX: usize = 123;
/// As many decimal places as a 32-bit number has use for.
const PLACES_MAX: u64 = 6;

/// Where a tariff stands and how it is coded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TariffMap {
    /// By which function it is read back.
    function: FunctionCode,
    /// First register, on the wire, from 0.
    pub(crate) address: u16,
    /// Registers of a volume or price: 1 or 2.
    width: u16,
    order: Order,
    from_places: u32,
    price_places: u32,
    layout: Vec<Part>,
}

/// What stands in the registers, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Where the next step begins.
    From,
    /// What it costs.
    Price,
    Year,
    Month,
    Day,
}

const PARTS: [(&str, Part); 5] = [
    ("from", Part::From),
    ("price", Part::Price),
    ("year", Part::Year),
    ("month", Part::Month),
    ("day", Part::Day),
];
const LAYOUT_HINT: &str = "such as layout = [\"price\", \"from\", \"price\", \"year\", \"month\", \"day\"]: the day once, and \
                           a from for each price or for each but the first";

impl TariffMap {
    /// All of its registers.
    pub(crate) fn block(&self) -> Block {
        let count = self.layout.iter().map(|part| self.width_of(*part)).sum();
        Block { function: self.function, start: self.address, count }
    }

    /// What is written for this tariff, or why the registers cannot say it exactly.
    pub(crate) fn registers(&self, tariff: &Tariff) -> Result<Vec<u16>, String> {
        let (first, last) = tariff.steps.first().zip(tariff.steps.last()).ok_or("the tariff has no step")?;
        if first.from_m3.digits() != 0 {
            return Err(format!("the first step begins at {} m3, not at 0", first.from_m3));
        }
        let falls = |pair: &[TariffStep]| matches!(pair, [low, high] if low.from_m3 >= high.from_m3);
        if tariff.steps.windows(2).any(falls) {
            return Err("the tariff's steps do not rise".into());
        }
        let held = self.count(Part::Price);
        if tariff.steps.len() > held {
            return Err(format!("the tariff has {} steps, the meter {held}", tariff.steps.len()));
        }
        let begins = tariff.effective_from;
        let mut prices = tariff.steps.iter().map(|step| step.price).chain(std::iter::repeat(last.price));
        let mut froms = tariff.steps.iter().map(|step| step.from_m3).skip(held - self.count(Part::From));
        let mut registers = Vec::new();
        for part in &self.layout {
            match part {
                Part::From => match froms.next() {
                    Some(from) => registers.extend(self.digits("step", from, self.from_places)?),
                    None => registers.extend(self.wire(self.most(), self.width)),
                },
                Part::Price => {
                    let price = prices.next().unwrap_or(last.price);
                    registers.extend(self.digits("price", price, self.price_places)?);
                }
                Part::Year => registers.extend(self.wire(begins.year().unsigned_abs().into(), 1)),
                Part::Month => registers.extend(self.wire(begins.month().unsigned_abs().into(), 1)),
                Part::Day => registers.extend(self.wire(begins.day().unsigned_abs().into(), 1)),
            }
        }
        Ok(registers)
    }

    /// The tariff that these registers hold, with all the steps they have; `None` where they hold no day.
    pub(crate) fn tariff(&self, wire: &[u8]) -> Option<(Date, Vec<TariffStep>)> {
        let (mut rest, mut prices, mut froms) = (wire, Vec::new(), Vec::new());
        let (mut year, mut month, mut day) = (0, 0, 0);
        let number = |bits: u32, places: u32| Number::scaled(bits.into(), -i32::try_from(places).ok()?).ok();
        for part in &self.layout {
            let bytes = usize::from(self.width_of(*part)) * 2;
            let (of_part, behind) = rest.split_at_checked(bytes)?;
            rest = behind;
            let sorted = self.order.sorted(of_part);
            let bits = sorted.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
            match part {
                Part::From => froms.push(number(bits, self.from_places)?),
                Part::Price => prices.push(number(bits, self.price_places)?),
                Part::Year => year = i16::try_from(bits).ok()?,
                Part::Month => month = i8::try_from(bits).ok()?,
                Part::Day => day = i8::try_from(bits).ok()?,
            }
        }
        if froms.len() < prices.len() {
            froms.insert(0, number(0, 0)?);
        }
        let steps = froms.into_iter().zip(prices).map(|(from_m3, price)| TariffStep { from_m3, price });
        Some((Date::new(year, month, day).ok()?, steps.collect()))
    }

    fn count(&self, part: Part) -> usize {
        self.layout.iter().filter(|other| **other == part).count()
    }

    fn width_of(&self, part: Part) -> u16 {
        if matches!(part, Part::From | Part::Price) { self.width } else { 1 }
    }

    /// The highest number of `width` registers.
    fn most(&self) -> u32 {
        if self.width == 1 { u16::MAX.into() } else { u32::MAX }
    }

    fn digits(&self, what: &str, number: Number, places: u32) -> Result<Vec<u16>, String> {
        let digits = whole(number, places).filter(|digits| *digits <= self.most());
        let most = self.most();
        digits
            .map(|digits| self.wire(digits, self.width))
            .ok_or_else(|| format!("{what} {number}: the registers hold 0 to {most} with {places} decimals"))
    }

    fn wire(&self, number: u32, width: u16) -> Vec<u16> {
        let [a, b, c, d] = number.to_be_bytes();
        // The swaps of an order are their own reverse.
        let sorted = if width == 1 { self.order.sorted(&[c, d]) } else { self.order.sorted(&[a, b, c, d]) };
        sorted.chunks(2).map(|pair| pair.iter().fold(0, |word, byte| word << 8 | u16::from(*byte))).collect()
    }
}

/// The number in units of its last place, where that is a whole number.
fn whole(number: Number, places: u32) -> Option<u32> {
    let digits = match places.checked_sub(number.places()) {
        Some(more) => number.digits().checked_mul(10_i128.checked_pow(more)?)?,
        None => {
            let factor = 10_i128.checked_pow(number.places() - places)?;
            (number.digits() % factor == 0).then_some(number.digits() / factor)?
        }
    };
    u32::try_from(digits).ok()
}

pub(super) fn tariff(section: Section<'_, '_>, map: &Map) -> Option<TariffMap> {
    for (key, hint) in [
        ("at", "the address of the first register, such as at = 0x40"),
        ("type", "\"u16\" or \"u32\": what volumes and prices are"),
        ("layout", LAYOUT_HINT),
    ] {
        if section.get(key).is_none() {
            section.miss(key, hint);
        }
    }
    let at = section.integer("at", map.base..=map.base + 0xFFFF);
    let width = section.word("type", &[("u16", 1_u16), ("u32", 2)]);
    let function = function_code(&section).unwrap_or(map.function);
    let order = section.word("order", &Order::NAMES).map_or(map.order, |(order, _)| order);
    let places = |key| {
        let places = section.integer(key, 0..=PLACES_MAX);
        places.and_then(|(places, _)| u32::try_from(places).ok()).unwrap_or(0)
    };
    let (from_places, price_places) = (places("from_places"), places("price_places"));
    let layout = layout(&section);
    let faults = section.faults;
    section.finish();
    let ((at, span), (width, _), layout) = (at?, width?, layout?);
    let address = u16::try_from(at - map.base).ok()?;
    let tariff = TariffMap { function, address, width, order, from_places, price_places, layout };
    let count = usize::from(tariff.block().count);
    if count > WRITE_REGISTERS_MAX || usize::from(address) + count > 0x1_0000 {
        let why = format!(
            "{count} registers from here: one request writes {WRITE_REGISTERS_MAX}, the last is 65535"
        );
        faults.note(span, why);
        return None;
    }
    Some(tariff)
}

fn layout(section: &Section<'_, '_>) -> Option<Vec<Part>> {
    let value = section.get("layout")?;
    let part = |word: &str| PARTS.iter().find(|(name, _)| *name == word).map(|(_, part)| *part);
    let words = value.get_ref().as_array().filter(|words| words.len() <= WRITE_REGISTERS_MAX);
    let parts: Option<Vec<Part>> =
        words.and_then(|words| words.iter().map(|word| part(word.get_ref().as_str()?)).collect());
    let parts = parts.filter(|parts| {
        let count = |wanted: Part| parts.iter().filter(|part| **part == wanted).count();
        let (prices, froms) = (count(Part::Price), count(Part::From));
        let dated = [Part::Year, Part::Month, Part::Day].into_iter().all(|part| count(part) == 1);
        dated && prices > 0 && (froms == prices || froms + 1 == prices)
    });
    if parts.is_none() {
        section.faults.note_with(value.span(), "layout is that of no tariff", LAYOUT_HINT);
    }
    parts
}
