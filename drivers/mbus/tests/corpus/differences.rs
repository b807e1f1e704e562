//! Where we differ from libmbus on purpose.

const ONE_WAY: &str = "VIFE 3B and 3C: a register that counts one direction is not the one that counts both";
const MANUFACTURER_VIFE: &str =
    "VIFE 7F or FF: what follows, data included, is the manufacturer's own; libmbus ignores it";
const MANUFACTURER_CODE: &str =
    "VIF FF: libmbus drops the manufacturer's code behind it, and with it which value this is";
const PER_PULSE: &str =
    "VIFE 28: increment per input pulse, libmbus takes the weight of a pulse for a volume";
const FUTURE: &str = "VIFE 7E: a date to come (the next due date), not the one that storage 1 was kept at";
const LIMIT_DURATION: &str =
    "VIFE 50 and 58: for how long a limit was exceeded, in seconds; libmbus makes a flow of it";
const MOMENT_OF_MAXIMUM: &str = "VIFE 6F: when the maximum ended; libmbus makes 41 million degrees of a date";
const RESERVED: &str = "VIF FD 7C is reserved; libmbus's word is for every reserved code the same";
const NOT_SET: &str = "all bits zero: a date that was never set, which libmbus prints as 2000-00-00";
const MARKED_INVALID: &str = "type F, bit 8: the meter marks its time as invalid; libmbus prints 1900-01-00";
const EVERY_YEAR: &str = "year 127: every year; libmbus takes it for 2027";
const SHORTEST: &str =
    "-0.17072178 kW is the shortest decimal of this float; libmbus prints digits beyond its precision";

/// Telegram and record, what we say, and why.
pub(crate) const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("ACW_Itron-BM-plus-m 2", "date invalid: not set", NOT_SET),
    ("EDC 0", "forward-energy 35000 Wh", ONE_WAY),
    ("EDC 1", "reverse-energy 465000 Wh", ONE_WAY),
    ("EDC 2", "forward-energy 0 Wh", ONE_WAY),
    ("EDC 3", "reverse-energy 0 Wh", ONE_WAY),
    ("EFE_Engelmann-WaterStar 11", "vif:9028 0.000008", PER_PULSE),
    ("REL-Relay-Padpuls2 1", "date-time invalid: the meter marks this time as invalid", MARKED_INVALID),
    ("REL-Relay-Padpuls2 4", "vif:EC7E 2015-12-31", FUTURE),
    ("SEN_Pollustat 5", "forward-energy 39831000 Wh", ONE_WAY),
    ("SEN_Pollustat 7", "power -170.72178 W", SHORTEST),
    ("SEN_Pollustat 12", "vif:BE50 11582321 s", LIMIT_DURATION),
    ("SEN_Pollustat 13", "vif:BE58 756 s", LIMIT_DURATION),
    ("abb_delta 10", "vif:FF9300 0", MANUFACTURER_CODE),
    ("abb_delta 11", "vif:FF9200 1000000", MANUFACTURER_CODE),
    ("abb_delta 13", "vif:FF9800 0", MANUFACTURER_CODE),
    ("berg_dz_plus 10", "vif:FF13 0", MANUFACTURER_CODE),
    ("berg_dz_plus 11", "vif:FF12 0", MANUFACTURER_CODE),
    ("berg_dz_plus 12", "vif:FF68 0", MANUFACTURER_CODE),
    ("berg_dz_plus 13", "vif:FF69 0", MANUFACTURER_CODE),
    ("berg_dz_plus 15", "vif:FF18 0", MANUFACTURER_CODE),
    ("electricity-meter-1 4", "vif:FDC9FF01 237", MANUFACTURER_VIFE),
    ("electricity-meter-1 5", "vif:FDDBFF01 32", MANUFACTURER_VIFE),
    ("electricity-meter-1 6", "vif:ACFF01 79", MANUFACTURER_VIFE),
    ("electricity-meter-1 7", "vif:ACFF01 -18", MANUFACTURER_VIFE),
    ("electricity-meter-1 8", "vif:FDC9FF02 231", MANUFACTURER_VIFE),
    ("electricity-meter-1 9", "vif:FDDBFF02 35", MANUFACTURER_VIFE),
    ("electricity-meter-1 10", "vif:ACFF02 81", MANUFACTURER_VIFE),
    ("electricity-meter-1 11", "vif:ACFF02 -15", MANUFACTURER_VIFE),
    ("electricity-meter-1 12", "vif:FDC9FF03 228", MANUFACTURER_VIFE),
    ("electricity-meter-1 13", "vif:FDDBFF03 69", MANUFACTURER_VIFE),
    ("electricity-meter-1 14", "vif:ACFF03 160", MANUFACTURER_VIFE),
    ("electricity-meter-1 15", "vif:ACFF03 -32", MANUFACTURER_VIFE),
    ("electricity-meter-1 16", "vif:FF68 0", MANUFACTURER_CODE),
    ("electricity-meter-1 17", "vif:ACFF00 320", MANUFACTURER_VIFE),
    ("electricity-meter-1 18", "vif:ACFF00 -65", MANUFACTURER_VIFE),
    ("electricity-meter-1 19", "vif:FF13 4", MANUFACTURER_CODE),
    ("els_falcon 4", "vif:EC7E 2008-01-01", FUTURE),
    ("engelmann_sensostar2c 13", "vif:9028 0.100000", PER_PULSE),
    ("filler 0", "forward-energy 5000 Wh", ONE_WAY),
    ("itron_bm_+m 2", "date invalid: not set", NOT_SET),
    ("itron_cyble_m-bus_v1.4_cold_water 5", "vif:957F 0", MANUFACTURER_VIFE),
    ("itron_cyble_m-bus_v1.4_water 5", "vif:947F 20", MANUFACTURER_VIFE),
    ("landis+gyr_ultraheat_t230 19", "vif:AD6F invalid: not set", MOMENT_OF_MAXIMUM),
    ("landis+gyr_ultraheat_t230 20", "vif:BB6F invalid: not set", MOMENT_OF_MAXIMUM),
    ("landis+gyr_ultraheat_t230 21", "vif:DA6F 2011-08-26T20:50:00", MOMENT_OF_MAXIMUM),
    ("landis+gyr_ultraheat_t230 22", "vif:DE6F 2011-08-09T11:43:00", MOMENT_OF_MAXIMUM),
    ("landis+gyr_ultraheat_t230 32", "date-time \"*-01-01 00:00\"", EVERY_YEAR),
    ("nzr_dhz_5_63 1", "vif:837F 1274", MANUFACTURER_VIFE),
    ("ram_modularis 4", "vif:EC7E 2014-09-28", FUTURE),
    ("rel_padpuls3 4", "vif:EC7E 2001-12-31", FUTURE),
    ("siemens_rvd235 3", "vif:FD7C 1", RESERVED),
    ("siemens_rvd235 4", "vif:FD7C 0", RESERVED),
    ("siemens_rvd235 5", "vif:FD7C 0", RESERVED),
    ("siemens_wfh21 3", "date invalid: not set", NOT_SET),
];
