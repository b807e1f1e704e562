//! `[commands]`: who may order what. Without the table commands are off.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use glob::Pattern;
use weir_wire::Action;

use super::super::Gateway;
use super::super::file::{self, Typed};
use super::super::notice::Findings;
use super::super::reader::nearest;
use super::super::source::{At, Place};
use super::lines::{self, Draft};
use super::{duration_within, gateway, names, number_within};
use crate::command::authorise::{Expected, MeterPolicy, Policy, writes};
use crate::command::keys::{Grant, Key, Keys, PublicKey, PublicKeyError, is_key_id};
use crate::command::{Config, Rules};
use crate::limits::{CLOSINGS_MAX, COMMAND_KEYS_MAX, KEY_ID_BYTES_MAX};
use crate::{line, outbox, uplink};

/// A command may have to wait until an outage is over; a day later nobody knows any more what it was for.
const LIFETIME_MAX: Duration = Duration::from_secs(24 * 3600);
/// From what a slow line needs to a week.
const LIFETIMES: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(7 * 24 * 3600);
/// Clocks that a time server steers are less than a second apart; a hand-set one is off by a minute.
const SKEW: Duration = Duration::from_secs(120);
const SKEWS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(900);
const CLOSINGS_PER_HOUR: u32 = 10;
const CLOSINGS_PER_DAY: u32 = 50;
/// Meters that a warning names.
const METERS_NAMED_MAX: usize = 8;

/// Checks `[commands]`. `None` when they are off.
pub(super) fn commands(
    typed: &Typed,
    gateway: Option<&Gateway>,
    outbox: &outbox::Config,
    uplink: Option<&uplink::Config>,
    drafts: &[Draft<'_>],
    findings: &mut Findings,
) -> Option<Config> {
    let commands = typed.commands.as_ref()?;
    let id = gateway.map(|gateway| gateway.id.clone()).unwrap_or_default();
    let lifetime = duration_within("lifetime_max", commands.lifetime_max.as_ref(), LIFETIMES, findings);
    let skew = duration_within("skew", commands.skew.as_ref(), SKEWS, findings);
    let mut closings =
        |key, typed: &Option<At<i64>>| number_within(key, typed.as_ref(), 0..=CLOSINGS_MAX, "", findings);
    let per_hour = closings("closings_per_hour_max", &commands.closings_per_hour_max);
    let per_day = closings("closings_per_day_max", &commands.closings_per_day_max);
    let policy = Policy {
        keys: keys(commands, typed, findings),
        meters: meters(typed, drafts),
        closings_per_hour_max: per_hour.unwrap_or(CLOSINGS_PER_HOUR),
        closings_per_day_max: per_day.unwrap_or(CLOSINGS_PER_DAY),
    };
    without_identity(&policy, typed, drafts, findings);
    Some(Config {
        directory: directory(commands, gateway, outbox, findings),
        topic: topic(commands, &id, uplink, findings),
        gateway: id,
        rules: Rules {
            lifetime_max: lifetime.unwrap_or(LIFETIME_MAX),
            skew: skew.unwrap_or(SKEW),
            trust_clock: commands.trust_clock.as_ref().is_some_and(|trust| trust.value),
            policy,
        },
    })
}

fn directory(
    commands: &file::Commands,
    gateway: Option<&Gateway>,
    outbox: &outbox::Config,
    findings: &mut Findings,
) -> std::path::PathBuf {
    let Some(typed) = &commands.directory else {
        return outbox.directory.parent().unwrap_or(Path::new("/")).join("commands");
    };
    let directory = gateway::path("directory", Some(typed), "", findings);
    let is_state = gateway.is_some_and(|gateway| gateway.state_directory == directory);
    let is_outbox = directory.starts_with(&outbox.directory) || outbox.directory.starts_with(&directory);
    if is_state || is_outbox {
        let hint = "leave it out, or give the journal of commands a directory of its own";
        findings.fault(&typed.place, "`directory` of commands holds other things too").hint(hint);
    }
    directory
}

fn topic(
    commands: &file::Commands,
    gateway: &str,
    uplink: Option<&uplink::Config>,
    findings: &mut Findings,
) -> String {
    let Some(typed) = &commands.topic else { return format!("weir.commands.{gateway}") };
    names::is_topic("topic", typed, findings);
    let kafka = uplink.map(|uplink| &uplink.kafka);
    if kafka.is_some_and(|kafka| {
        [&kafka.readings_topic, &kafka.events_topic, &kafka.outcomes_topic].contains(&&typed.value)
    }) {
        let message = "commands cannot come from a topic that this gateway writes to";
        findings.fault(&typed.place, message);
    }
    typed.value.clone()
}

/// What of each meter matters to commands. Of two meters with one id, which is a fault already, either.
fn meters(typed: &Typed, drafts: &[Draft<'_>]) -> BTreeMap<String, MeterPolicy> {
    let built: HashMap<&str, &line::Meter> = drafts
        .iter()
        .flat_map(|draft| &draft.config.meters)
        .map(|meter| (meter.id.as_str(), meter))
        .collect();
    let expected = |meter: &file::Meter, id: &str| {
        if meter.identity_check.as_ref().is_some_and(|check| !check.value) {
            return Expected::Anybody;
        }
        match built.get(id) {
            Some(line::Meter { expected_number: Some(number), .. }) => Expected::Number(number.clone()),
            Some(meter) if !matches!(meter.driver.name(), "mbus" | "modbus") => Expected::ByAddress,
            _ => Expected::Unknown,
        }
    };
    let named = typed.meters.iter().filter_map(|meter| Some((meter, meter.id.as_ref()?)));
    let policy = |meter: &file::Meter, id: &str| MeterPolicy {
        line: meter.line.as_ref().map(|line| line.value.clone()).unwrap_or_default(),
        locked_open: meter.valve.as_ref().is_some_and(|locked_open| locked_open.value),
        expected: expected(meter, id),
    };
    named.map(|(meter, id)| (id.value.clone(), policy(meter, &id.value))).collect()
}

fn keys(commands: &file::Commands, typed: &Typed, findings: &mut Findings) -> Keys {
    let (mut ids, mut same, mut keys) = (HashMap::new(), HashMap::new(), Keys::default());
    if commands.keys.is_empty() && !findings.is_spoilt(&commands.place, "keys") {
        let hint = "make one with `weir keys new`, away from the gateway, and add what it prints";
        findings.warn(&commands.place, "[commands] has no keys, so no command is ever taken").hint(hint);
    }
    if let Some(beyond) = commands.keys.get(COMMAND_KEYS_MAX) {
        findings.fault(&beyond.place, format!("more than {COMMAND_KEYS_MAX} keys"));
    }
    for key in commands.keys.iter().take(COMMAND_KEYS_MAX) {
        let id = id(key, &mut ids, findings);
        let public = public(key, &mut same, findings);
        let grant = Grant {
            actions: actions(key, findings),
            meters: patterns(key, typed, findings),
            not_after: key.not_after.as_ref().map(|at| at.value),
        };
        if let (Some(id), Some(public)) = (id, public) {
            keys.insert(id, Key { public, grant });
        }
    }
    keys
}

fn id(key: &file::CommandKey, ids: &mut HashMap<String, Place>, findings: &mut Findings) -> Option<String> {
    findings.require("id", &key.id, &key.place, "the `kid` that `weir keys new` was given");
    let id = key.id.as_ref()?;
    if !is_key_id(&id.value) {
        let hint = format!("1 to {KEY_ID_BYTES_MAX} of the characters a-z A-Z 0-9 . _ -");
        findings.fault(&id.place, "`id` cannot be a key's").hint(hint);
    }
    lines::unique(ids, id.value.clone(), &id.place, "two keys have this id", findings);
    Some(id.value.clone())
}

fn public(
    key: &file::CommandKey,
    same: &mut HashMap<String, Place>,
    findings: &mut Findings,
) -> Option<PublicKey> {
    findings.require("public", &key.public, &key.place, "the public key that `weir keys new` has printed");
    let typed = key.public.as_ref()?;
    match PublicKey::parse(&typed.value) {
        Ok(public) => {
            if let Some(first) = same.insert(public.to_string(), typed.place.clone()) {
                let hint = "who takes one of them away leaves the other";
                let notice = findings.warn(&typed.place, "this key is here under two ids");
                notice.also(&first, "first here").hint(hint);
            }
            Some(public)
        }
        Err(error) => {
            let hint = match error {
                PublicKeyError::Private => "make a new one with `weir keys new`: this one has been here",
                _ => "as `weir keys new` prints it: 43 characters, which are 32 bytes in base64url",
            };
            findings.fault(&typed.place, format!("`public` {error}")).hint(hint);
            None
        }
    }
}

fn actions(key: &file::CommandKey, findings: &mut Findings) -> Vec<Action> {
    let all = || Action::ALL.iter().map(Action::as_str);
    let hint = format!("some of \"{}\"", all().collect::<Vec<_>>().join("\", \""));
    findings.require("actions", &key.actions, &key.place, &hint);
    let typed = key.actions.as_deref().unwrap_or_default();
    if key.actions.as_ref().is_some_and(Vec::is_empty) {
        findings.fault(&key.place, "`actions` is empty, so the key may do nothing").hint(&hint);
    }
    for action in typed {
        if matches!(Action::from(action.value.as_str()), Action::Other(_)) {
            let hint = match nearest_action(&action.value) {
                Some(near) => format!("did you mean {near:?}?"),
                None => hint.clone(),
            };
            findings.fault(&action.place, format!("there is no action {:?}", action.value)).hint(hint);
        }
    }
    typed.iter().map(|action| Action::from(action.value.as_str())).collect()
}

fn nearest_action(typed: &str) -> Option<&'static str> {
    const WORDS: &[Action] = Action::ALL;
    nearest(typed, WORDS.iter().map(Action::as_str))
}

fn patterns(key: &file::CommandKey, typed: &Typed, findings: &mut Findings) -> Vec<Pattern> {
    let hint = "patterns of meter ids, such as [\"A-*\", \"B-201\"]; [\"*\"] for all";
    findings.require("meters", &key.meters, &key.place, hint);
    if key.meters.as_ref().is_some_and(Vec::is_empty) {
        findings.fault(&key.place, "`meters` is empty, so the key may do nothing").hint(hint);
    }
    let mut patterns = Vec::new();
    for at in key.meters.as_deref().unwrap_or_default() {
        match Pattern::new(&at.value) {
            Ok(pattern) => {
                let mut ids = typed.meters.iter().filter_map(|meter| meter.id.as_ref());
                if !typed.is_incomplete && !ids.any(|id| pattern.matches(&id.value)) {
                    findings.warn(&at.place, "no meter on this gateway has an id like this");
                }
                patterns.push(pattern);
            }
            Err(error) => {
                let message = format!("no pattern for meters: {}", error.msg);
                findings.fault(&at.place, message).hint(hint);
            }
        }
    }
    patterns
}

/// Meters that some key may change and that nothing tells apart from another at their address.
fn without_identity(policy: &Policy, typed: &Typed, drafts: &[Draft<'_>], findings: &mut Findings) {
    let is_changed = |id: &str| {
        let may = |grant: &Grant| grant.actions.iter().any(writes) && grant.covers_meter(id);
        policy.keys.iter().any(|(_, key)| may(&key.grant))
    };
    let ids = drafts.iter().flat_map(|draft| &draft.config.meters).map(|meter| meter.id.as_str());
    let is_unknown =
        |id: &str| policy.meters.get(id).is_some_and(|meter| meter.expected == Expected::Unknown);
    let ids: Vec<&str> = ids.filter(|id| is_unknown(id) && is_changed(id)).collect();
    let Some(first) = ids.first() else { return };
    let place = typed.meters.iter().find(|meter| meter.id.as_ref().is_some_and(|id| id.value == **first));
    let Some(place) = place.map(|meter| &meter.place) else { return };
    let more = if ids.len() > METERS_NAMED_MAX { ", …" } else { "" };
    let named = ids.iter().take(METERS_NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    let message = format!(
        "commands that change {} of the meters are refused as no-identity, for no number is expected of them: \
         {named}{more}",
        ids.len()
    );
    let hint = "give each its `expected_number`, or `identity_check = \"none\"` where it tells none";
    findings.warn(place, message).hint(hint);
}
