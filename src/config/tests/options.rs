//! What the configuration says of one M-Bus meter's telegrams reaches its driver: shown by what the driver makes of them.

use weir_meter::scripted::ScriptedLine;
use weir_wire::{Answer, Raw};

use super::good;

const ACKNOWLEDGED: [u8; 1] = [0xE5];
/// OMS volume 2, annex N.5.4, and its key: the first block is encrypted.
const ENCRYPTED: &str =
    "682C2C6808FD7288776655934455080004100500DFE2A782146D1513581CD2F83F39040CFD10785634120C78443322112616";
const KEY: &str = "000102030405060708090A0B0C0D0E0F";

/// What the first meter of this configuration answers to a read, where it says this.
async fn read(text: &str, telegram: &str) -> Answer {
    let Raw(telegram) = serde_json::from_str(&format!("\"{telegram}\"")).unwrap();
    let mut line = ScriptedLine::new();
    // The link is reset, and a meter with a secondary address selected.
    for _ in 0..if text.contains("55667788") { 2 } else { 1 } {
        line = line.answer(&ACKNOWLEDGED);
    }
    let mut checked = good(text);
    checked.lines[0].meters[0].driver.read(&mut line.answer(&telegram)).await.unwrap()
}

fn meter(keys: &str) -> String {
    format!(
        "[[lines]]\nname = \"l\"\nport = \"/dev/ttyS0\"\ndriver = \"mbus\"\n[[meters]]\nid = \"m\"\nline = \"l\"\n{keys}"
    )
}

#[tokio::test]
async fn the_key_in_a_meters_file_opens_its_telegrams() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.key");
    std::fs::write(&file, KEY).unwrap();
    let answer = read(&meter(&format!("address = \"55667788\"\nkey_file = {file:?}\n")), ENCRYPTED).await;
    let first = &answer.values[0];
    assert_eq!(first.quantity.as_str(), "heat-cost-allocation");
    assert_eq!(first.raw.as_ref().unwrap().to_string(), "0B6E341200");
}

#[tokio::test]
async fn the_order_of_a_meters_plain_texts_is_the_configured_one() {
    // Of a meter without a header: an integer whose unit is spelt out.
    let telegram = "680D0D68080178047C0361626307000000";
    let sum = [0x08_u8, 1, 0x78, 4, 0x7C, 3, 0x61, 0x62, 0x63, 7]
        .iter()
        .fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let telegram = format!("{telegram}{sum:02X}16");
    for (order, unit) in [("as-sent", "abc"), ("reversed", "cba")] {
        let answer = read(&meter(&format!("address = 1\nvif_text = \"{order}\"\n")), &telegram).await;
        let value = format!("{:?}", answer.values[0]);
        assert!(value.contains(unit), "{order}: {value}");
    }
}
