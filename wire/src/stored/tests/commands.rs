//! The way down: commands, outcomes, and the events that belong to it.

use super::*;
use crate::Command;

const COMMAND: &str = "0192f0c1-7d1c-7a53-9f0e-2b1d7c0a4e11";

fn number(text: &str) -> Number {
    text.parse().unwrap()
}

fn steps() -> Vec<TariffStep> {
    [("0", "3.45"), ("220", "4.830")]
        .map(|(from, price)| TariffStep { from_m3: number(from), price: number(price) })
        .into()
}

/// The events of the way down.
pub(super) fn every_event() -> impl Iterator<Item = (&'static str, What)> {
    let status = |challenge: Option<&str>, oldest_waiting_at, lines| What::Status {
        challenge: challenge.map(Into::into),
        version: "0.1.0".into(),
        waiting: Waiting { urgent: 2, readings: 960 },
        oldest_waiting_at,
        disk_bytes: 4_194_304,
        lines,
    };
    let line = |line: &str, up, load| LineStatus { line: line.into(), up, load };
    let lines = vec![line("riser-1", true, 37), line("riser-2", false, 0)];
    let counted = |cause, count| RefusedCount { cause, count };
    let causes = [
        (RefusalCause::BadSignature, 3),
        (RefusalCause::UnknownKey, 1),
        (RefusalCause::from("of a later version"), 2),
    ];
    [
        (
            "event-commands-refused",
            What::CommandsRefused {
                refused: causes.into_iter().map(|(cause, count)| counted(cause, count)).collect(),
                last_kid: Some("ops-2026".into()),
            },
        ),
        (
            "event-journal-lost",
            What::JournalLost {
                detail: "the chain breaks after entry 41; commands stay off".into(),
                lost: Some(12),
            },
        ),
        ("event-config-reloaded", What::ConfigReloaded { detail: "1 line added".into() }),
        ("event-status", status(Some("6fQ2kz0h"), Some(at("2026-11-23T00:15:03.412Z")), lines)),
        ("event-status-least", status(None, None, vec![])),
    ]
    .into_iter()
}

/// What becomes of a command, in its variety.
pub(super) fn every_outcome() -> impl Iterator<Item = (&'static str, Outcome)> {
    let outcome = |action, state: CommandState| Outcome {
        command: COMMAND.into(),
        meter: "A-101".into(),
        action,
        is_final: state.is_final(),
        state,
        at: at("2026-11-23T02:20:09.120Z"),
        clock: Clock::Synced,
        reason: None,
        observed: None,
        detail: None,
    };
    [
        ("outcome-accepted", outcome(Action::ValveClose, CommandState::Accepted)),
        (
            "outcome-done",
            Outcome {
                observed: Some(Observed { valve: Some(Valve::Closed), ..Observed::default() }),
                detail: Some("read back 4.1 s after the write".into()),
                ..outcome(Action::ValveClose, CommandState::Done)
            },
        ),
        (
            "outcome-rejected",
            Outcome {
                clock: Clock::Unsynced,
                reason: Some(Reason::ClockNotTrusted),
                ..outcome(Action::ClockSet, CommandState::Rejected)
            },
        ),
        (
            "outcome-duplicate",
            Outcome {
                is_final: false,
                reason: Some(Reason::Duplicate),
                ..outcome(Action::ValveOpen, CommandState::Rejected)
            },
        ),
        (
            "outcome-tariff-unverified",
            Outcome {
                observed: Some(Observed {
                    valve: None,
                    meter_time: Some("2026-11-23T03:20:09".parse().unwrap()),
                    tariff: Some(steps()),
                    tariff_from: Some("2027-01-01".parse().unwrap()),
                    number: Some("12345678".into()),
                }),
                ..outcome(Action::TariffSet, CommandState::Unverified)
            },
        ),
    ]
    .into_iter()
}

fn every_command() -> [(&'static str, Command); 2] {
    let valve = Command {
        id: COMMAND.into(),
        gateway: "gw-0421".into(),
        meter: "A-101".into(),
        action: Action::ValveClose,
        issued_at: at("2026-11-23T02:20:00Z"),
        not_after: at("2026-11-23T02:30:00Z"),
        requested_by: Some("anna".into()),
        reason: Some("burst pipe, flat 12".into()),
        if_valve: Some(Valve::Open),
        challenge: Some("6fQ2kz0h".into()),
        tariff: None,
    };
    let tariff = Command {
        action: Action::TariffSet,
        requested_by: None,
        reason: None,
        if_valve: None,
        challenge: None,
        tariff: Some(Tariff { effective_from: "2027-01-01".parse().unwrap(), steps: steps() }),
        ..valve.clone()
    };
    [("command-valve-close", valve), ("command-tariff-set", tariff)]
}

#[test]
fn a_command_is_what_its_golden_file_says_and_reads_back_with_every_digit_of_its_prices() {
    for (name, command) in every_command() {
        let text = serde_json::to_string_pretty(&command).unwrap() + "\n";
        assert_golden(&golden_file(name), &text);
        assert_eq!(serde_json::from_str::<Command>(&text).unwrap(), command, "{name}");
    }
    let [_, (_, tariff)] = every_command();
    let json = serde_json::to_string(&tariff).unwrap();
    assert!(json.contains(r#"{"from_m3":220,"price":4.830}"#), "{json}");
}

#[test]
fn an_outcome_is_called_by_its_command_and_state_wherever_it_lay_in_the_outbox() {
    let ids = |outcome: Outcome| {
        let record = Record::Outcome(outcome);
        let json: crate::Outcome = serde_json::from_slice(&record.to_json("gw:7f3a9c01:u3", "gw")).unwrap();
        assert_eq!(json.id, record.id("gw:7f3a9c01:u3".into(), "gw"), "header and JSON agree");
        json.id
    };
    let ids: Vec<String> = every_outcome().map(|(_, outcome)| ids(outcome)).collect();
    let states = ["accepted", "done", "rejected", "duplicate", "unverified"];
    assert_eq!(ids, states.map(|state| format!("gw:{COMMAND}:{state}")));
}

#[test]
fn all_else_is_called_as_the_outbox_calls_it() {
    for record in every_shape().into_iter().map(|(_, record)| record) {
        if !matches!(record, Record::Outcome(_)) {
            assert_eq!(record.id("gw:7f3a9c01:u3".into(), "gw"), "gw:7f3a9c01:u3");
        }
    }
}

fn optional_text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(text())
}

prop_compose! {
    fn observed()(
        valve in optional_text(), time in proptest::option::of(time()), number in optional_text(),
        steps in proptest::option::of(proptest::collection::vec(any::<(i64, i64)>(), 0..3)),
        from in proptest::option::of(time()),
        places in 0..=20_i32,
    ) -> Observed {
        let number_of = |digits: i64| Number::scaled(digits.into(), -places).unwrap();
        let step = |(from, price)| TariffStep { from_m3: number_of(from), price: number_of(price) };
        let whole_seconds = |at: Timestamp| Timestamp::from_second(at.as_second()).unwrap();
        Observed {
            valve: valve.map(|valve| valve.as_str().into()),
            meter_time: time.map(|at| jiff::tz::Offset::UTC.to_datetime(whole_seconds(at))),
            tariff: steps.map(|steps| steps.into_iter().map(step).collect()),
            tariff_from: from.map(|at| jiff::tz::Offset::UTC.to_datetime(at).date()),
            number,
        }
    }
}

prop_compose! {
    fn outcome()(
        [command, meter, action, state] in [text(), text(), text(), text()], is_final: bool, at in time(),
        clock in proptest::sample::select(vec![Clock::Synced, Clock::Unsynced]),
        reason in optional_text(), observed in proptest::option::of(observed()), detail in optional_text(),
    ) -> Outcome {
        let (action, state) = (action.as_str().into(), state.as_str().into());
        let reason = reason.map(|reason| reason.as_str().into());
        Outcome { command, meter, action, state, is_final, at, clock, reason, observed, detail }
    }
}

proptest! {
    #[test]
    fn any_outcome_survives_the_outbox_and_the_topic(outcome in outcome()) {
        let record = Record::Outcome(outcome.clone());
        prop_assert_eq!(&Record::decode(&record.encode()).unwrap(), &record);
        let json = record.to_json("id", "gw");
        prop_assert_eq!(serde_json::from_slice::<crate::Outcome>(&json).unwrap(), outcome.named("gw"));
    }

    #[test]
    fn no_json_of_a_command_panics(text in ".{0,80}") {
        let _ = serde_json::from_str::<Command>(&text);
        let _ = serde_json::from_str::<crate::Outcome>(&text);
    }
}
