//! The queue on virtual clocks: what goes first, what is missed, what a jumping clock does, and any sequence of
//! events against a simple model.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

const START_S: i64 = 1_795_392_000; // 2026-11-23 00:00 UTC

fn wall(seconds: i64) -> Timestamp {
    Timestamp::from_second(START_S + seconds).unwrap()
}

fn moment(seconds: u64) -> Moment {
    Moment::from_boot(Duration::from_secs(1000 + seconds))
}

fn schedule(every_s: u64) -> Schedule {
    Schedule::new(Duration::from_secs(every_s), Duration::ZERO, TimeZone::UTC)
}

fn queue(every_s: &[u64]) -> Queue<u32> {
    Queue::new(every_s.iter().map(|every| schedule(*every)), wall(-1))
}

fn refresh_at(queue: &mut Queue<u32>, seconds: u64) {
    queue.refresh(wall(seconds.try_into().unwrap()), moment(seconds));
}

fn due(queue: &mut Queue<u32>, seconds: u64) -> Option<usize> {
    queue.pick_due(moment(seconds)).map(|pick| pick.meter)
}

fn slot_of(pick: &Pick<u32>) -> Timestamp {
    match pick.cause {
        Cause::Slot { slot, .. } => slot,
        Cause::Asked(_) => panic!("not a slot: {pick:?}"),
    }
}

#[test]
fn polls_come_by_slot_and_then_as_configured() {
    let mut queue = queue(&[60, 15, 60]);
    refresh_at(&mut queue, 0);
    assert_eq!([due(&mut queue, 0), due(&mut queue, 0), due(&mut queue, 0)], [Some(0), Some(1), Some(2)]);
    assert_eq!(due(&mut queue, 0), None);
    // A long exchange: two slots passed meanwhile, and the earlier one is served first.
    refresh_at(&mut queue, 15);
    refresh_at(&mut queue, 60);
    assert_eq!([due(&mut queue, 60), due(&mut queue, 60), due(&mut queue, 60)], [Some(1), Some(0), Some(2)]);
}

#[test]
fn a_read_that_was_asked_for_is_picked_while_its_meter_is_backed_off_from_but_not_while_it_rests() {
    let mut queue = queue(&[60, 60]);
    refresh_at(&mut queue, 0);
    assert_eq!([due(&mut queue, 0), due(&mut queue, 0)], [Some(0), Some(1)]);
    queue.probe_later(0, wall(0), moment(0), moment(3600));
    assert_eq!(queue.pick_due(moment(1)), None);
    queue.ask(0, 7);
    assert_eq!(queue.pick_asked(moment(1)).unwrap().cause, Cause::Asked(7));
    queue.rest(0, moment(5));
    queue.ask(0, 8);
    queue.ask(1, 9);
    assert_eq!(queue.pick_asked(moment(2)).unwrap().cause, Cause::Asked(9), "others go on");
    assert_eq!(queue.pick_asked(moment(4)), None);
    assert_eq!(queue.idle_until(wall(4), moment(4), moment(100)), moment(5));
    assert_eq!(queue.pick_asked(moment(5)).unwrap().cause, Cause::Asked(8));
}

#[test]
fn what_is_left_of_a_poll_is_made_after_the_rest_and_in_its_old_place() {
    let mut queue = queue(&[60, 60, 60]);
    refresh_at(&mut queue, 0);
    let mut pick = queue.pick_due(moment(0)).unwrap();
    pick.requests = 1;
    queue.put_back(pick, moment(2));
    assert_eq!(due(&mut queue, 1), Some(1));
    let again = queue.pick_due(moment(2)).unwrap();
    assert_eq!((again.meter, again.requests, slot_of(&again)), (0, 1, wall(0)));
}

#[test]
fn a_line_with_more_work_than_time_serves_every_meter_in_turn() {
    // Ten meters due every second, each poll takes three: the classic way to starve the last ones.
    let mut queue = queue(&[1; 10]);
    let mut polled = [0_u32; 10];
    for poll in 0..100 {
        refresh_at(&mut queue, poll * 3);
        polled[due(&mut queue, poll * 3).unwrap()] += 1;
    }
    assert_eq!(polled, [10; 10]);
}

#[test]
fn slots_that_pass_are_counted_and_only_the_newest_is_polled() {
    let mut queue = queue(&[60]);
    refresh_at(&mut queue, 0);
    refresh_at(&mut queue, 60);
    assert_eq!(queue.missed(0), 1, "the slot at 0 was never polled");
    refresh_at(&mut queue, 245);
    let pick = queue.pick_due(moment(245)).unwrap();
    assert_eq!(slot_of(&pick), wall(240));
    assert_eq!(queue.missed(0), 4);
    assert_eq!(queue.pick_due(moment(245)), None);
}

#[test]
fn a_clock_that_jumps_from_1970_to_now_makes_one_poll_and_no_storm() {
    let mut queue = Queue::<u32>::new([schedule(900)], Timestamp::from_second(30).unwrap());
    queue.refresh(Timestamp::from_second(30).unwrap(), moment(0));
    queue.refresh(wall(12 * 3600 + 420), moment(1));
    let pick = queue.pick_due(moment(1)).unwrap();
    assert_eq!(slot_of(&pick), wall(12 * 3600));
    assert_eq!(queue.missed(0), 0);
    queue.refresh(wall(12 * 3600 + 421), moment(2));
    assert_eq!(queue.pick_due(moment(2)), None);
    assert_eq!(queue.next_due(0, wall(12 * 3600 + 421), moment(2)), Some(wall(12 * 3600 + 900)));
}

#[test]
fn a_clock_that_goes_back_a_little_repeats_no_slot() {
    let mut queue = queue(&[60]);
    refresh_at(&mut queue, 1);
    assert_eq!(slot_of(&queue.pick_due(moment(1)).unwrap()), wall(0));
    queue.refresh(wall(-5), moment(2));
    queue.refresh(wall(0), moment(7));
    assert_eq!(queue.pick_due(moment(7)), None);
    queue.refresh(wall(60), moment(67));
    assert_eq!(slot_of(&queue.pick_due(moment(67)).unwrap()), wall(60));
}

#[test]
fn a_clock_that_goes_back_by_hours_does_not_stop_the_polls() {
    let mut queue = queue(&[60]);
    refresh_at(&mut queue, 36_000);
    assert!(queue.pick_due(moment(36_000)).is_some());
    queue.refresh(wall(30), moment(36_001));
    assert_eq!(queue.pick_due(moment(36_001)), None);
    queue.refresh(wall(60), moment(36_031));
    assert_eq!(slot_of(&queue.pick_due(moment(36_031)).unwrap()), wall(60));
}

#[test]
fn a_daily_poll_that_failed_is_probed_until_it_answers() {
    let mut queue = queue(&[86_400]);
    refresh_at(&mut queue, 0);
    assert!(queue.pick_due(moment(0)).is_some());
    queue.probe_later(0, wall(0), moment(0), moment(3600));
    refresh_at(&mut queue, 3599);
    assert_eq!(queue.pick_due(moment(3599)), None);
    refresh_at(&mut queue, 3600);
    let probe = queue.pick_due(moment(3600)).unwrap();
    assert_eq!(slot_of(&probe), wall(0));
    queue.answered(0);
    refresh_at(&mut queue, 40_000);
    assert_eq!(queue.pick_due(moment(40_000)), None);
    assert_eq!(queue.missed(0), 0);
}

#[test]
fn idle_ends_with_the_next_slot() {
    let mut queue = queue(&[60]);
    refresh_at(&mut queue, 0);
    assert_eq!(
        queue.idle_until(wall(0), moment(0), moment(9)),
        Moment::from_boot(Duration::ZERO),
        "one is due"
    );
    queue.pick_due(moment(0)).unwrap();
    assert_eq!(queue.idle_until(wall(52), moment(52), moment(900)), moment(60));
    assert_eq!(queue.idle_until(wall(52), moment(52), moment(53)), moment(53));
}

/// A line on which each poll takes its time, and some meters are dead.
struct Busy {
    queue: Queue<u32>,
    now_s: u64,
    poll_s: u64,
    probe_s: u64,
    back_off_s: u64,
    dead: Vec<usize>,
    /// What was polled, and when that began.
    polled: Vec<(usize, u64)>,
}

impl Busy {
    fn run(&mut self, until_s: u64) {
        while self.now_s < until_s {
            refresh_at(&mut self.queue, self.now_s);
            let Some(pick) = self.queue.pick_due(moment(self.now_s)) else {
                self.now_s += 1;
                continue;
            };
            let began_s = self.now_s;
            self.polled.push((pick.meter, began_s));
            if self.dead.contains(&pick.meter) {
                self.now_s += self.probe_s;
                let until = moment(began_s + self.back_off_s);
                self.queue.probe_later(pick.meter, slot_of(&pick), moment(self.now_s), until);
            } else {
                self.now_s += self.poll_s;
                self.queue.answered(pick.meter);
            }
        }
    }

    fn polls_of(&self, meter: usize) -> Vec<u64> {
        self.polled.iter().filter(|(polled, _)| *polled == meter).map(|(_, at)| *at).collect()
    }

    /// Longest time in which a meter was not polled, from the first time on that it was.
    fn longest_pause(&self, meter: usize) -> u64 {
        let mut polls = self.polls_of(meter);
        polls.push(self.now_s);
        polls.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap()
    }
}

const YIELDS_S: u64 = PROBE_YIELDS_MAX.as_secs();

#[test]
fn while_there_is_room_for_probes_no_meter_that_answers_loses_a_slot() {
    // Of every 3 s the live meter takes 1 and a probe 2: two probes that do not yield cost it a slot.
    let mut line = Busy {
        queue: queue(&[3, 3, 3, 3]),
        now_s: 0,
        poll_s: 1,
        probe_s: 2,
        back_off_s: 10,
        dead: vec![1, 2, 3],
        polled: Vec::new(),
    };
    line.run(3600);
    // The first polls of the dead meters are no probes yet.
    assert!(line.queue.missed(0) <= 2, "{} slots lost", line.queue.missed(0));
    assert!(line.polls_of(0).len() >= 1198);
    for dead in 1..4 {
        assert!(line.longest_pause(dead) <= 15, "dead meter {dead} waits {} s", line.longest_pause(dead));
    }
}

#[test]
fn on_a_line_that_is_never_idle_dead_meters_are_probed_within_the_bound_and_take_little_of_it() {
    let mut line = Busy {
        queue: queue(&[1; 13]),
        now_s: 0,
        poll_s: 3,
        probe_s: 2,
        back_off_s: 60,
        dead: vec![3, 7, 11],
        polled: Vec::new(),
    };
    line.run(4 * 3600);
    // Back-off, and then one probe of each that is dead.
    let a_poll_and_a_probe_s = line.poll_s + line.probe_s;
    for dead in [3, 7, 11] {
        let pause = line.longest_pause(dead);
        let bound_s = line.back_off_s + 3 * (YIELDS_S + a_poll_and_a_probe_s);
        assert!(pause <= bound_s, "dead meter {dead} waits {pause} s");
    }
    let probes: usize = [3, 7, 11].map(|dead| line.polls_of(dead).len() - 1).iter().sum();
    assert!(u64::try_from(probes).unwrap() <= line.now_s / YIELDS_S, "{probes} probes");
    let live: Vec<usize> = (0..13).filter(|meter| !line.dead.contains(meter)).collect();
    let polls: Vec<usize> = live.iter().map(|meter| line.polls_of(*meter).len()).collect();
    assert!(polls.iter().max().unwrap() - polls.iter().min().unwrap() <= 1, "all in turn: {polls:?}");
}

#[test]
fn meters_that_are_repaired_are_found_on_a_busy_line_one_right_after_the_other() {
    let mut line = Busy {
        queue: queue(&[1; 10]),
        now_s: 0,
        poll_s: 3,
        probe_s: 2,
        back_off_s: 10,
        dead: (2..10).collect(),
        polled: Vec::new(),
    };
    line.run(3600);
    let (repaired_s, polled) = (line.now_s, line.polled.len());
    line.dead.clear();
    line.run(repaired_s + YIELDS_S + 8 * line.poll_s + line.poll_s);
    for meter in 2..10 {
        assert!(line.polls_of(meter).last().unwrap() >= &repaired_s, "meter {meter} was not found");
    }
    // From here on it is as if they had always answered.
    line.run(line.now_s + 300);
    let last: Vec<usize> = line.polled[polled..].iter().rev().take(20).map(|(meter, _)| *meter).collect();
    assert!((0..10).all(|meter| last.iter().filter(|polled| **polled == meter).count() == 2), "{last:?}");
}

#[test]
fn only_a_probe_that_failed_holds_up_the_next_one() {
    let mut queue = queue(&[1; 3]);
    refresh_at(&mut queue, 0);
    assert_eq!([due(&mut queue, 0), due(&mut queue, 0), due(&mut queue, 0)], [Some(0), Some(1), Some(2)]);
    queue.probe_later(0, wall(0), moment(0), moment(10));
    // A meter that answers most of the time fails now and then: that is no probe.
    refresh_at(&mut queue, 100);
    assert_eq!(due(&mut queue, 100), Some(1));
    queue.probe_later(1, wall(100), moment(100), moment(3600));
    refresh_at(&mut queue, 9 + YIELDS_S);
    assert_eq!(due(&mut queue, 9 + YIELDS_S), Some(2));
    refresh_at(&mut queue, 10 + YIELDS_S);
    assert_eq!(due(&mut queue, 10 + YIELDS_S), Some(0), "ahead of the third, which is due again");
    queue.probe_later(0, wall(0), moment(10 + YIELDS_S), moment(11 + YIELDS_S));
    refresh_at(&mut queue, 9 + 2 * YIELDS_S);
    assert_eq!(due(&mut queue, 9 + 2 * YIELDS_S), Some(2), "probes wait again");
}

#[test]
fn the_probe_that_has_waited_longest_is_first() {
    let mut queue = queue(&[60, 60, 60]);
    refresh_at(&mut queue, 0);
    for (meter, back_off_s) in [(0, 30), (1, 10), (2, 20)] {
        assert_eq!(due(&mut queue, 0), Some(meter));
        queue.probe_later(meter, wall(0), moment(0), moment(back_off_s));
    }
    assert_eq!([due(&mut queue, 40), due(&mut queue, 40), due(&mut queue, 40)], [Some(1), Some(2), Some(0)]);
}

/// What may happen to a queue.
#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Ask(usize),
    PickAsked,
    PickDue,
    Fail(u64),
    Rest(usize, u64),
    Jump(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..200).prop_map(Step::Pass),
        1 => (0_usize..4).prop_map(Step::Ask),
        2 => Just(Step::PickAsked),
        4 => Just(Step::PickDue),
        1 => (0_u64..500).prop_map(Step::Fail),
        1 => ((0_usize..4), (0_u64..30)).prop_map(|(meter, rest)| Step::Rest(meter, rest)),
        1 => (-100_000_i64..100_000).prop_map(Step::Jump),
    ]
}

/// The model: what each meter may and must do, told from the outside.
#[derive(Default, Clone)]
struct Model {
    asked: Vec<(usize, u32)>,
    rests_until: [u64; 4],
    backed_off_until: [u64; 4],
    last_slot: [Option<Timestamp>; 4],
}

proptest! {
    #[test]
    fn any_sequence_of_events_keeps_the_rules(
        every in prop::array::uniform4(1_u64..400), steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut queue = queue(&every);
        let (mut model, mut tickets) = (Model::default(), 0);
        let (mut now_s, mut wall_s, mut jumped) = (0_u64, 0_i64, false);
        let mut last: Option<Pick<u32>> = None;
        for step in steps {
            match step {
                Step::Pass(seconds) => {
                    now_s += seconds;
                    wall_s += i64::try_from(seconds).unwrap();
                }
                Step::Jump(seconds) => {
                    wall_s += seconds;
                    jumped = true;
                }
                Step::Ask(meter) => {
                    tickets += 1;
                    queue.ask(meter, tickets);
                    model.asked.push((meter, tickets));
                }
                Step::Rest(meter, rest) => {
                    queue.rest(meter, moment(now_s + rest));
                    model.rests_until[meter] = now_s + rest;
                }
                Step::PickAsked => {
                    let expected = model.asked.iter().position(|(meter, _)| model.rests_until[*meter] <= now_s);
                    let expected = expected.map(|at| model.asked.remove(at));
                    let got = queue.pick_asked(moment(now_s));
                    let got = got.map(|pick| match pick.cause {
                        Cause::Asked(ticket) => (pick.meter, ticket),
                        Cause::Slot { .. } => panic!("a slot was picked for a read"),
                    });
                    prop_assert_eq!(got, expected);
                }
                Step::PickDue => {
                    last = queue.pick_due(moment(now_s));
                    if let Some(pick) = &last {
                        let (meter, slot) = (pick.meter, slot_of(pick));
                        prop_assert!(model.rests_until[meter] <= now_s);
                        prop_assert!(model.backed_off_until[meter] <= now_s);
                        prop_assert_eq!(slot.as_second() % 86_400 % i64::try_from(every[meter]).unwrap(), 0);
                        if !jumped {
                            prop_assert!(slot <= wall(wall_s));
                            prop_assert!(model.last_slot[meter] < Some(slot), "slot polled twice");
                        }
                        model.last_slot[meter] = Some(slot);
                        queue.answered(meter);
                        model.backed_off_until[meter] = 0;
                    }
                }
                Step::Fail(seconds) => {
                    if let Some(pick) = last.take() {
                        // The last pick failed after all; its slot opens again.
                        queue.probe_later(pick.meter, slot_of(&pick), moment(now_s), moment(now_s + seconds));
                        model.backed_off_until[pick.meter] = now_s + seconds;
                        model.last_slot[pick.meter] = None;
                    }
                }
            }
            queue.refresh(wall(wall_s), moment(now_s));
            let idle = queue.idle_until(wall(wall_s), moment(now_s), moment(now_s + 86_400));
            if idle > moment(now_s) {
                prop_assert_eq!(queue.meters.iter().filter(|m| m.due.is_some() && m.polled_from() <= moment(now_s)).count(), 0);
            }
        }
        // In the end every meter that is not held back gets its turn within one interval.
        now_s += 90_000;
        queue.refresh(wall(wall_s + 90_000), moment(now_s));
        let mut polled: Vec<usize> = std::iter::from_fn(|| due(&mut queue, now_s)).collect();
        polled.sort_unstable();
        prop_assert_eq!(polled, vec![0, 1, 2, 3]);
    }

    #[test]
    fn while_the_clock_runs_true_every_slot_is_polled_or_missed(
        every_s in 1_u64..100, exchanges in prop::collection::vec(0_u64..300, 1..60),
    ) {
        let mut queue = queue(&[every_s]);
        let (mut now_s, mut polled) = (0, 0);
        refresh_at(&mut queue, now_s);
        for exchange in exchanges {
            polled += u64::from(due(&mut queue, now_s).is_some());
            now_s += exchange;
            refresh_at(&mut queue, now_s);
        }
        polled += u64::from(due(&mut queue, now_s).is_some());
        // Within one day, so that no short last interval disturbs the sum.
        prop_assert_eq!(polled + queue.missed(0), now_s / every_s + 1);
    }
}
