//! `[gateway]` and `[outbox]`.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;

use super::super::Gateway;
use super::super::file;
use super::super::notice::Findings;
use super::super::source::{At, MAIN, Place};
use super::{duration_within, names, size_within};
use crate::limits::{SEGMENT_PAYLOAD_BYTES, THIN_ROOM_SEGMENTS, segment_disk_bytes_max};
use crate::outbox::{self, WhenFull};

const TIME_ZONE: &str = "Europe/Berlin";
const STATE_DIRECTORY: &str = "/var/lib/weir";
const CONTROL_SOCKET: &str = "/run/weir/control.sock";
/// Bytes of a Unix socket's path on Linux: 108 with the closing zero (`unix(7)`).
const SOCKET_PATH_BYTES_MAX: usize = 107;

const READINGS_BYTES_MAX: u64 = 512 << 20;
const URGENT_BYTES_MAX: u64 = 16 << 20;
const FREE_BYTES_MIN: u64 = 64 << 20;
const COMMIT_WINDOW: Duration = Duration::from_secs(1);
/// A segment takes about 2.1 bytes of disk for each byte in it. Below three segments (one that is written, one that is
/// drained, one that is being removed) every drop would be a third of the lane.
const LANE_BYTES: RangeInclusive<u64> = 3 * 2 * SEGMENT_PAYLOAD_BYTES..=1 << 44;
/// From one block of the file system, of which a test fills many, to a third of the smallest lane's payload.
const SEGMENT_BYTES: RangeInclusive<u64> = 4 << 10..=SEGMENT_PAYLOAD_BYTES;
/// From nothing (the rest of the system looks after itself) to 16 TiB.
const FREE_BYTES: RangeInclusive<u64> = 0..=1 << 44;
/// A stop waits for the commit of what is pending; longer, it would not come within the service manager's patience.
const COMMIT_WINDOWS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(5);

/// Checks `[gateway]`.
pub(super) fn gateway(typed: Option<&file::Gateway>, findings: &mut Findings) -> Option<Gateway> {
    let Some(typed) = typed else {
        if !findings.is_spoilt(&Place::top_of(MAIN), "gateway") {
            let message = format!("table [gateway] is missing in {}", findings.sources.path(MAIN).display());
            findings.fault_of_file(message).hint("it needs at least an id; `weir config` prints an example");
        }
        return None;
    };
    findings.require("id", &typed.id, &typed.place, "name this gateway, unlike any other in the fleet");
    let id = typed.id.as_ref().filter(|id| names::is_gateway_id(id, findings));
    let time_zone = time_zone(typed.time_zone.as_ref(), findings);
    let state_directory = path("state_directory", typed.state_directory.as_ref(), STATE_DIRECTORY, findings);
    let control_socket = path("control_socket", typed.control_socket.as_ref(), CONTROL_SOCKET, findings);
    let length = control_socket.as_os_str().len();
    if let (Some(typed), true) = (&typed.control_socket, length > SOCKET_PATH_BYTES_MAX) {
        let message = format!(
            "`control_socket` has {length} bytes, and a socket's path may have {SOCKET_PATH_BYTES_MAX}"
        );
        findings.fault(&typed.place, message);
    }
    Some(Gateway {
        id: id.map(|id| id.value.clone()).unwrap_or_default(),
        time_zone,
        state_directory,
        control_socket,
    })
}

fn time_zone(typed: Option<&At<String>>, findings: &mut Findings) -> TimeZone {
    let name = typed.map_or(TIME_ZONE, |typed| &typed.value);
    if let Ok(zone) = TimeZone::get(name) {
        return zone;
    }
    if let Some(typed) = typed {
        let hint = "write a name of the IANA database, such as \"Europe/Berlin\" or \"UTC\"";
        findings.fault(&typed.place, format!("there is no time zone {name:?}")).hint(hint);
    }
    TimeZone::UTC
}

/// Checks `[outbox]`, every key of which has a default.
pub(super) fn outbox(
    typed: &file::Outbox,
    gateway: Option<&Gateway>,
    findings: &mut Findings,
) -> outbox::Config {
    let state = gateway.map_or(Path::new(STATE_DIRECTORY), |gateway| &gateway.state_directory);
    let directory = match &typed.directory {
        Some(directory) => path("directory", Some(directory), "", findings),
        None => state.join("outbox"),
    };
    if let (Some(typed), true) = (&typed.directory, directory == state) {
        let hint = "leave it out, or give the outbox a directory of its own";
        findings
            .fault(&typed.place, "`directory` is the state directory, which holds other things too")
            .hint(hint);
    }
    let readings = size_within("readings_max", typed.readings_max.as_ref(), LANE_BYTES, findings);
    let urgent = size_within("urgent_max", typed.urgent_max.as_ref(), LANE_BYTES, findings);
    let free = size_within("free_min", typed.free_min.as_ref(), FREE_BYTES, findings);
    let window = duration_within("commit_window", typed.commit_window.as_ref(), COMMIT_WINDOWS, findings);
    let segment = size_within("segment", typed.segment.as_ref(), SEGMENT_BYTES, findings);
    let segment = segment.unwrap_or(SEGMENT_PAYLOAD_BYTES);
    let when_full = typed.when_full.as_ref().map_or(WhenFull::Thin, |policy| policy.value);
    let room_to_thin = THIN_ROOM_SEGMENTS * segment_disk_bytes_max(segment);
    if let (WhenFull::Thin, Some(readings), Some(at)) = (when_full, readings, &typed.readings_max)
        && readings < room_to_thin
    {
        let least = room_to_thin.div_ceil(1 << 20);
        let message = "`readings_max` is too small to thin out: when it is full the oldest readings will go";
        findings.warn(&at.place, message).hint(format!("{least} MiB, or a smaller `segment`"));
    }
    outbox::Config {
        gateway: gateway.map(|gateway| gateway.id.clone()).unwrap_or_default(),
        directory,
        time_zone: gateway.map_or(TimeZone::UTC, |gateway| gateway.time_zone.clone()),
        segment_payload_bytes: segment,
        readings_bytes_max: readings.unwrap_or(READINGS_BYTES_MAX),
        urgent_bytes_max: urgent.unwrap_or(URGENT_BYTES_MAX),
        free_bytes_min: free.unwrap_or(FREE_BYTES_MIN),
        commit_window: window.unwrap_or(COMMIT_WINDOW),
        when_full,
    }
}

/// A path as typed, or the default.
pub(super) fn path(key: &str, typed: Option<&At<String>>, default: &str, findings: &mut Findings) -> PathBuf {
    match typed {
        Some(typed) if typed.value.is_empty() || typed.value.contains('\0') => {
            findings.fault(&typed.place, format!("`{key}` cannot be a path"));
            PathBuf::from(default)
        }
        Some(typed) => findings.sources.resolve(typed),
        None => PathBuf::from(default),
    }
}
