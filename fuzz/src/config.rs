//! The configuration: any text.
//!
//! Holds also: it is either good or has a fault, and its report can be shown.

use std::path::Path;

use weir::config::{EXAMPLE, check_text};

/// Looks at one input.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // These would have the harness look through this machine's disk.
    if text.contains("include") || text.contains('\\') || text.contains("..") || text.contains("= \"/") {
        return;
    }
    let outcome = check_text(Path::new("/nonexistent/weir.toml"), text);
    assert_eq!(outcome.checked.is_some(), outcome.faults.is_empty());
    let report = outcome.report(false);
    assert_eq!(report.is_empty(), outcome.faults.is_empty() && outcome.warnings.is_empty());
}

/// The example with every key, and a small site.
pub fn seeds() -> Vec<Vec<u8>> {
    let keys = EXAMPLE.lines().map(|line| line.strip_prefix("# ").unwrap_or(line));
    let keys = keys
        .filter(|line| line.contains(" = ") || line.starts_with('['))
        .filter(|line| !line.contains("include"));
    let all: String = keys.flat_map(|line| [line.split(" #").next().unwrap_or(line), "\n"]).collect();
    let small = "[gateway]\nid = \"g\"\n[uplink.kafka]\nbrokers = [\"b:9092\"]\n[[lines]]\nname = \"l\"\ntcp = \"h:1\"\n\
                 driver = \"mbus\"\n[[meters]]\nid = \"m\"\nline = \"l\"\naddress = 1\n\
                 [[meters]]\nid = \"n\"\nline = \"l\"\ndriver = \"modbus\"\nprofile = \"generic-20\"\naddress = 2\n\
                 [[meters]]\nid = \"o\"\nline = \"l\"\ndriver = \"cjt188\"\naddress = \"78330011223344\"\nevery = \"15m\"\n";
    vec![all.replace("= \"/", "= \"").into_bytes(), small.into()]
}
