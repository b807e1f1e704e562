//! Properties of librdkafka for TLS and SASL: what it would say too late, or in words that name neither file nor key.

use std::collections::BTreeMap;
use std::fs::{File, metadata};
use std::io;
use std::path::Path;

use super::super::notice::Findings;
use super::super::source::At;

/// Properties that name a file, or a directory where librdkafka takes one.
const FILES: [&str; 5] = [
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.crl.location",
    "ssl.key.location",
    "ssl.keystore.location",
];

/// A value of `ssl.ca.location` that names no file: look in the usual places.
const PROBE: &str = "probe";

/// Makes paths start at the directory of the file they were typed in, as everywhere in the configuration, and tells of
/// those that cannot be opened. Those, by name, are returned: librdkafka would only say "BIO lib".
pub(super) fn files(
    typed: &[(At<String>, String)],
    properties: &mut BTreeMap<String, String>,
    findings: &mut Findings,
) -> Vec<String> {
    let mut unreadable = Vec::new();
    for (name, value) in typed.iter().filter(|(name, _)| FILES.contains(&name.value.as_str())) {
        if value.is_empty() || value == PROBE {
            continue;
        }
        let path = findings.sources.resolve(&At { value: value.clone(), place: name.place.clone() });
        if let Some(path) = path.to_str() {
            properties.insert(name.value.clone(), path.to_owned());
        }
        // Without TLS the property itself is the fault.
        if let (true, Err(error)) = (cfg!(feature = "tls"), open(&path)) {
            let message = format!("property {}: {}: {error}", name.value, path.display());
            findings.fault(&name.place, message);
            unreadable.push(name.value.clone());
        }
    }
    unreadable
}

fn open(path: &Path) -> io::Result<()> {
    // Asked before it is opened: opening a pipe waits for a writer.
    let kind = metadata(path)?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Err(io::Error::other("is no regular file"));
    }
    File::open(path).map(|_| ())
}

/// librdkafka speaks without TLS and SASL until `security.protocol` says otherwise, whatever else is set.
pub(super) fn without_effect(typed: &[(At<String>, String)], findings: &mut Findings) {
    let protocol = typed.iter().find(|(name, _)| name.value == "security.protocol");
    let protocol = protocol.map_or_else(String::new, |(_, value)| value.to_ascii_lowercase());
    for (prefix, is_used, what, hint) in [
        ("ssl.", protocol.ends_with("ssl"), "is not encrypted", "\"SSL\", or \"SASL_SSL\" with a password"),
        ("sasl.", protocol.starts_with("sasl"), "gives no credentials", "\"SASL_SSL\""),
    ] {
        let first = typed.iter().find(|(name, _)| name.value.starts_with(prefix));
        if let (false, Some((name, _))) = (is_used, first) {
            let message =
                format!("property {} has no effect: the connection {what}", name.value.escape_debug());
            findings.warn(&name.place, message).hint(format!("add \"security.protocol\" = {hint}"));
        }
    }
}
