//! Searches on a bus in memory on which meters answer at once and over each other, as on copper.

use std::collections::BTreeSet;

use proptest::prelude::*;
use weir_meter::{Ask, Recognised, async_trait};

use super::*;

/// A meter on the bus. Times are in characters after the end of the request.
#[derive(Clone, Debug)]
struct Meter {
    address: Secondary,
    primary: u8,
    /// What tells its frames from another's besides its address.
    register: [u8; 4],
    access: u8,
    delay: usize,
    information: u8,
    implements_selection: bool,
    answers_readings: bool,
    is_selected: bool,
}

impl Meter {
    fn new(address: &str, primary: u8) -> Self {
        let register = u32::from(primary).wrapping_mul(0x0101_6B35).to_le_bytes();
        Self {
            address: address.parse().unwrap(),
            primary,
            register,
            access: 0x55,
            delay: 0,
            information: 0x72,
            implements_selection: true,
            answers_readings: true,
            is_selected: false,
        }
    }

    fn hear(&mut self, request: &[u8]) -> Vec<u8> {
        if let [0x68, 0x0B, 0x0B, 0x68, 0x53, 0xFD, 0x52, mask @ .., _, _] = request {
            let mask = Secondary::from_wire(mask.try_into().unwrap());
            self.is_selected = self.implements_selection && mask.covers(&self.address);
            return if self.is_selected { vec![0xE5] } else { Vec::new() };
        }
        let [0x10, control, address, _, 0x16] = *request else { panic!("{request:02X?}") };
        if address != self.primary && !(address == 253 && self.is_selected) {
            return Vec::new();
        }
        match control {
            0x40 => {
                self.is_selected &= address != 253;
                vec![0xE5]
            }
            0x7B | 0x5B if self.answers_readings => {
                self.access = self.access.wrapping_add(1);
                self.telegram()
            }
            0x7B | 0x5B => Vec::new(),
            other => panic!("C field {other:02X}"),
        }
    }

    fn telegram(&self) -> Vec<u8> {
        let address = self.address.wire();
        let data = match self.information {
            0x72 => [&address[..], &[self.access, 0, 0, 0, 0x04, 0x13], &self.register].concat(),
            0x73 => [&address[..4], &[self.access, 0, 0x25, 0x71], &self.register, &[0; 4]].concat(),
            _ => [&[0x04, 0x13][..], &self.register].concat(),
        };
        frame::long(0x08, self.primary, self.information, &data).unwrap()
    }
}

/// What the wire makes of two that talk at once.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// A zero of either wins.
    Zeros,
    /// Characters that differ are lost.
    Lost,
    /// They arrive as something else.
    Noise,
}

#[derive(Debug)]
struct Bus {
    meters: Vec<Meter>,
    shape: Shape,
    echoes: bool,
    talks: bool,
    requests: usize,
}

impl Bus {
    fn of(meters: impl IntoIterator<Item = Meter>) -> Self {
        let meters = meters.into_iter().collect();
        Self { meters, shape: Shape::Zeros, echoes: false, talks: false, requests: 0 }
    }

    fn say(&mut self, request: &[u8]) -> Vec<u8> {
        self.requests += 1;
        let shape = self.shape;
        // Inside: what is left of the character.
        let mut wire: Vec<Option<Option<u8>>> = Vec::new();
        for meter in &mut self.meters {
            for (index, byte) in meter.hear(request).into_iter().enumerate() {
                let at = meter.delay + index;
                wire.resize(wire.len().max(at + 1), None);
                wire[at] = Some(match (wire[at], shape) {
                    (None, _) => Some(byte),
                    (Some(Some(other)), _) if other == byte => Some(byte),
                    (Some(Some(other)), Shape::Zeros) => Some(other & byte),
                    (Some(Some(other)), Shape::Noise) => Some(other.rotate_left(3) ^ byte),
                    (Some(_), _) => None,
                });
            }
        }
        let echo = if self.echoes { request } else { &[] };
        let talk = if self.talks { &[0x11, 0x22][..] } else { &[] };
        echo.iter().chain(talk).copied().chain(wire.into_iter().flatten().flatten()).collect()
    }
}

#[async_trait]
impl Line for Bus {
    async fn exchange(&mut self, ask: Ask<'_>) -> Result<Vec<u8>, Fault> {
        let bytes = self.say(ask.request);
        match (ask.recognise)(&bytes) {
            Recognised::Answer { start, end } => Ok(bytes[start..end].to_vec()),
            _ if bytes.is_empty() => Err(Fault::Silent { window_ms: 0 }),
            other => Err(Fault::garbled(format!("{other:?}"))),
        }
    }

    async fn hear(&mut self, request: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok(self.say(request))
    }
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

fn search_secondary(bus: &mut Bus, mask: &str, search: &Search) -> Discovery {
    wait(secondary(bus, mask.parse().unwrap(), search, &mut |_| ControlFlow::Continue(()))).unwrap()
}

fn search_primary(bus: &mut Bus) -> Discovery {
    wait(primary(bus, 0..=255, &Search::default(), &mut |_| ControlFlow::Continue(()))).unwrap()
}

fn addresses(discovery: &Discovery) -> Vec<String> {
    let mut found: Vec<_> = discovery.meters.iter().map(|it| it.identity.unwrap().to_string()).collect();
    found.sort();
    found
}

#[test]
fn meters_with_numbers_of_one_batch_are_found_each() {
    let batch = (1..=12_u8).map(|n| Meter::new(&format!("400000{n:02}.ELS.01.07"), n.min(11)));
    let mut bus = Bus::of(batch);
    let found = search_secondary(&mut bus, "FFFFFFFF", &Search::default());
    let expected: Vec<_> = (1..=12).map(|n| format!("400000{n:02}.ELS.01.07")).collect();
    assert_eq!((addresses(&found), found.troubles.clone()), (expected, vec![]));
    assert!(bus.requests < 260, "{} requests", bus.requests);
    let part = search_secondary(&mut bus, "FFFFFFF1", &Search::default());
    assert_eq!(addresses(&part), ["40000001.ELS.01.07", "40000011.ELS.01.07"]);

    let by_primary = search_primary(&mut bus);
    assert_eq!(by_primary.meters.len(), 10);
    assert_eq!(by_primary.troubles, [Trouble::Several(11)]);
    assert_eq!(by_primary.meters[2].primary, Some(3));
    let both = found.merged(by_primary);
    assert_eq!(both.meters.len(), 12);
    assert!(both.meters.iter().all(|meter| meter.is_selectable && meter.primary.is_some()));
}

#[test]
fn a_meter_whose_zeros_hide_its_neighbours_answer_does_not_hide_the_neighbour() {
    // Fresh from the box: the same register, the same pace, and sums that fit when they are laid over each other.
    let twin = |number: &str| Meter { register: [0; 4], ..Meter::new(&format!("{number}.ELS.01.07"), 0) };
    let numbers = ["40000014", "40000015"];
    let mut bus = Bus::of(numbers.map(twin));
    let quick = Search { is_thorough: false, ..Search::default() };
    assert_eq!(addresses(&search_secondary(&mut bus, "FFFFFFFF", &quick)), ["40000014.ELS.01.07"]);
    let thorough = search_secondary(&mut bus, "FFFFFFFF", &Search::default());
    assert_eq!(addresses(&thorough), ["40000014.ELS.01.07", "40000015.ELS.01.07"]);
    assert_eq!(thorough.troubles, []);
}

#[test]
fn equal_numbers_are_told_apart_by_what_stands_behind_them() {
    let all = ["12345678.ELS.01.07", "12345678.ELS.02.07", "12345678.ELS.02.16", "12345678.KAM.02.16"];
    let mut bus = Bus::of(all.iter().zip(1..).map(|(address, primary)| Meter::new(address, primary)));
    let found = search_secondary(&mut bus, "FFFFFFFF", &Search::default());
    assert_eq!((addresses(&found), found.troubles), (all.map(String::from).to_vec(), vec![]));
}

#[test]
fn meters_that_are_alike_in_all_are_told_of() {
    let alike = [1, 2].map(|primary| Meter::new("12345678.ELS.01.07", primary));
    let mut bus = Bus::of(alike.into_iter().chain([Meter::new("12345679.ELS.01.07", 3)]));
    let found = search_secondary(&mut bus, "FFFFFFFF", &Search::default());
    assert_eq!(addresses(&found), ["12345679.ELS.01.07"]);
    assert_eq!(found.troubles, [Trouble::Alike("12345678.ELS.01.07".parse().unwrap())]);
}

#[test]
fn hex_digits_are_looked_for_where_decimal_ones_do_not_explain_a_collision_or_when_asked_for() {
    let few = ["1234567A.ELS.01.07", "12345671.ELS.01.07"];
    let mut bus = Bus::of(few.iter().zip(1..).map(|(address, primary)| Meter::new(address, primary)));
    assert_eq!(addresses(&search_secondary(&mut bus, "FFFFFFFF", &Search::default())), [few[1], few[0]]);
    bus.meters.push(Meter::new("12345675.ELS.01.07", 9));
    let asked = Search { hex_digits: true, ..Search::default() };
    assert_eq!(search_secondary(&mut bus, "FFFFFFFF", &asked).meters.len(), 3);
}

#[test]
fn meters_that_do_not_say_who_they_are_have_the_number_by_which_they_are_selected() {
    let fixed = Meter { information: 0x73, ..Meter::new("00000011", 1) };
    let nameless = Meter { information: 0x78, ..Meter::new("00000022", 2) };
    let mut bus = Bus::of([fixed, nameless, Meter::new("00000023.ELS.01.07", 3)]);
    let found = search_secondary(&mut bus, "FFFFFFFF", &Search::default());
    assert_eq!(addresses(&found), ["00000011", "00000022", "00000023.ELS.01.07"]);
    assert_eq!(found.troubles, []);
}

#[test]
fn a_meter_without_selection_is_found_by_its_primary_address_and_one_without_readings_is_told_of() {
    let old = Meter { implements_selection: false, ..Meter::new("11111111.ELS.01.07", 5) };
    let mute = Meter { answers_readings: false, ..Meter::new("22222222.ELS.01.07", 6) };
    let mut bus = Bus::of([old, mute]);
    let by_secondary = search_secondary(&mut bus, "FFFFFFFF", &Search::default());
    assert_eq!(by_secondary.meters, []);
    assert!(
        matches!(by_secondary.troubles[..], [Trouble::Lost(_) | Trouble::Alike(_), ..]),
        "{by_secondary:?}"
    );
    let by_primary = search_primary(&mut bus);
    assert_eq!(addresses(&by_primary), ["11111111.ELS.01.07"]);
    assert!(!by_primary.meters[0].is_selectable);
    assert_eq!(by_primary.troubles, [Trouble::Mute(6)]);
}

#[test]
fn an_echo_is_named_and_not_taken_for_a_collision() {
    let mut bus = Bus::of([Meter::new("12345678.ELS.01.07", 1), Meter::new("12345679.ELS.01.07", 1)]);
    bus.echoes = true;
    let mask = Secondary::ANY;
    let error =
        wait(secondary(&mut bus, mask, &Search::default(), &mut |_| ControlFlow::Continue(()))).unwrap_err();
    assert_eq!(error, SearchError::Echo);
    assert_eq!(error.to_string(), "the line echoes what is sent; set echo = true");
    let error =
        wait(primary(&mut bus, 1..=1, &Search::default(), &mut |_| ControlFlow::Continue(()))).unwrap_err();
    assert_eq!(error, SearchError::Echo);
}

#[test]
fn a_line_that_talks_without_end_is_given_up() {
    let mut bus = Bus::of([]);
    bus.talks = true;
    let found = search_secondary(&mut bus, "FFFFFFFF", &Search::default());
    assert!(matches!(found.troubles.last(), Some(Trouble::GivenUp(_))), "{found:?}");
    assert!(bus.requests < 1000, "{} requests", bus.requests);
    let found = search_primary(&mut bus);
    assert!(matches!(found.troubles.last(), Some(Trouble::GivenUp(_))), "{found:?}");
}

#[test]
fn a_search_that_is_told_to_end_gives_what_it_has() {
    let mut bus = Bus::of([Meter::new("12345678.ELS.01.07", 1), Meter::new("22345678.ELS.01.07", 2)]);
    let mut found_one = false;
    let mut tell = |step| {
        found_one |= matches!(step, Step::Found(_));
        if found_one { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let found = wait(secondary(&mut bus, Secondary::ANY, &Search::default(), &mut tell)).unwrap();
    assert_eq!((addresses(&found).len(), found.troubles), (1, vec![BROKEN_OFF]));
}

#[test]
fn an_empty_line_costs_one_mask() {
    let mut bus = Bus::of([]);
    let mut steps = Vec::new();
    let search = Search::default();
    let found = wait(secondary(&mut bus, Secondary::ANY, &search, &mut |step| {
        steps.push(step);
        ControlFlow::Continue(())
    }))
    .unwrap();
    assert_eq!((found, steps), (Discovery::default(), vec![Step::Mask(Secondary::ANY)]));
}

/// Meters of few digits, so that prefixes are shared and numbers equal. What stands behind equal numbers differs in a way
/// in which no meter's zeros hide the other's.
fn meters() -> impl Strategy<Value = Vec<Meter>> {
    let number = prop_oneof!["[0-9]{8}", "1234[0-9]{4}", "4000000[0-9]", Just("12345678".to_owned()),];
    let makers = prop::sample::select(vec!["ELS", "KAM"]);
    let versions = prop::sample::select(vec!["01", "02", "04"]);
    let media = prop::sample::select(vec!["07", "16"]);
    let delay = prop_oneof![4 => 0..4_usize, 1 => 40..44_usize];
    let meter = (number, makers, versions, media, 1..6_u8, any::<[u8; 4]>(), any::<u8>(), delay).prop_map(
        |(number, maker, version, medium, primary, register, access, delay)| Meter {
            register,
            access,
            delay,
            ..Meter::new(&format!("{number}.{maker}.{version}.{medium}"), primary)
        },
    );
    prop::collection::vec(meter, 0..9)
}

proptest! {
    #[test]
    fn whatever_meters_there_are_all_are_found_and_no_other(
        meters in meters(),
        shape in prop::sample::select(vec![Shape::Zeros, Shape::Lost, Shape::Noise]),
    ) {
        let unique: BTreeSet<_> = meters.iter().map(|meter| meter.address).collect();
        let alike = meters.len() - unique.len();
        let mut bus = Bus { shape, ..Bus::of(meters.clone()) };
        let found = search_secondary(&mut bus, "FFFFFFFF", &Search::default());
        let found_addresses: BTreeSet<_> = found.meters.iter().map(|it| it.identity.unwrap()).collect();
        prop_assert_eq!(found_addresses.len(), found.meters.len(), "each once");
        if alike == 0 {
            prop_assert_eq!(&found_addresses, &unique);
            prop_assert_eq!(&found.troubles, &[]);
        } else {
            // Those of which there is only one are found all the same.
            for address in &unique {
                let count = meters.iter().filter(|meter| meter.address == *address).count();
                prop_assert!(count > 1 || found_addresses.contains(address), "{address}");
            }
        }
        for it in &found.meters {
            // Two that are alike in all may make a sound frame together, which then has no good primary address.
            let is_it = |meter: &Meter| {
                Some(meter.address) == it.identity && (alike > 0 || Some(meter.primary) == it.primary)
            };
            prop_assert!(meters.iter().any(is_it), "{it:?}");
        }

        let by_primary = search_primary(&mut bus);
        for address in 1..6 {
            let there: Vec<_> = meters.iter().filter(|meter| meter.primary == address).collect();
            let found: Vec<_> = by_primary.meters.iter().filter(|it| it.primary == Some(address)).collect();
            let is_told_of = by_primary.troubles.contains(&Trouble::Several(address));
            match there[..] {
                [] => prop_assert!(found.is_empty() && !is_told_of),
                [only] => prop_assert!(found.len() == 1 && found[0].identity == Some(only.address)),
                _ => prop_assert!(found.is_empty() && is_told_of, "{address}: {by_primary:?}"),
            }
        }
    }
}
