//! What may be an id, a name, a topic, a `host:port`.

use super::super::notice::Findings;
use super::super::source::At;
use crate::limits::METER_ID_BYTES_MAX;

/// Kafka's own bound on a topic's name.
const TOPIC_BYTES_MAX: usize = 249;
/// The longest host name (RFC 1035).
const HOST_BYTES_MAX: usize = 253;

/// An id of a meter or name of a line: what a utility calls its things, so only what would break a table or a log is
/// refused.
pub(super) fn is_name(key: &str, name: &At<String>, findings: &mut Findings) -> bool {
    let text = &name.value;
    let wrong = if text.is_empty() {
        Some("is empty".to_owned())
    } else if text.len() > METER_ID_BYTES_MAX {
        Some(format!("has {} bytes, and may have {METER_ID_BYTES_MAX}", text.len()))
    } else if text.chars().any(char::is_control) {
        Some("has control characters".to_owned())
    } else if text.trim() != text {
        Some("begins or ends with a space".to_owned())
    } else {
        None
    };
    if let Some(wrong) = &wrong {
        findings.fault(&name.place, format!("`{key}` {wrong}"));
    }
    wrong.is_none()
}

/// A gateway's id: it becomes a part of record ids, where a colon divides, and of topics.
pub(super) fn is_gateway_id(id: &At<String>, findings: &mut Findings) -> bool {
    let text = &id.value;
    if text.is_empty() || text.len() > METER_ID_BYTES_MAX || !text.chars().all(is_topic_character) {
        let hint = format!(
            "1 to {METER_ID_BYTES_MAX} of the characters a-z A-Z 0-9 . _ -, because it becomes a part of record ids and topics"
        );
        findings.fault(&id.place, "`id` cannot be a gateway's").hint(hint);
        return false;
    }
    true
}

/// A topic that Kafka would take.
pub(super) fn is_topic(key: &str, topic: &At<String>, findings: &mut Findings) -> bool {
    let text = &topic.value;
    let legal = (1..=TOPIC_BYTES_MAX).contains(&text.len())
        && text.chars().all(is_topic_character)
        && !matches!(text.as_str(), "." | "..");
    if !legal {
        let hint = format!("1 to {TOPIC_BYTES_MAX} of the characters a-z A-Z 0-9 . _ -");
        findings.fault(&topic.place, format!("`{key}` cannot be a topic's name")).hint(hint);
    }
    legal
}

fn is_topic_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// `host:port`, with an IPv6 address in brackets.
pub(super) fn is_host_and_port(key: &str, address: &At<String>, findings: &mut Findings) -> bool {
    let wrong = match address.value.rsplit_once(':') {
        _ if address.value.contains("://") => Some("names a protocol"),
        None => Some("has no port"),
        Some((host, _)) if host.contains(':') && !is_bracketed_ipv6(host) => {
            Some("has colons in its host, and is no IPv6 address in brackets")
        }
        Some((host, _)) if host.is_empty() || host.len() > HOST_BYTES_MAX => Some("has no host"),
        Some((host, _))
            if host.chars().any(|c| c.is_whitespace() || c.is_control() || "/@,\"".contains(c)) =>
        {
            Some("has a character in its host that cannot be there")
        }
        Some((_, port)) if !is_port(port) => Some("has no port from 1 to 65535"),
        Some(_) => None,
    };
    if let Some(wrong) = wrong {
        let hint =
            "write \"host:port\", such as \"192.0.2.7:502\", \"example.net:9092\" or \"[2001:db8::7]:502\"";
        findings.fault(&address.place, format!("`{key}` {wrong}")).hint(hint);
    }
    wrong.is_none()
}

fn is_bracketed_ipv6(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}
