//! `keep`: what reaches the line, and what is said of a list that cannot be.

use weir_meter::selection::{Keep, Selection, Which};
use weir_wire::{Function, Quantity};

use super::{checked, good, only_fault, told};

const LINE: &str = "[[lines]]\nname = \"a\"\nport = \"/dev/ttyS0\"\ndriver = \"mbus\"\n";
const METER: &str = "[[meters]]\nid = \"m\"\nline = \"a\"\naddress = 1\n";

fn main() -> Keep {
    Keep::main(Quantity::Volume)
}

#[test]
fn a_list_reaches_its_meter_with_every_key_and_a_lines_is_for_those_without_their_own() {
    let text = format!(
        "{LINE}keep = [{{ quantity = \"volume\" }}]\n\
         {METER}\
         [[meters]]\nid = \"n\"\nline = \"a\"\naddress = 2\n\
         [[meters.keep]]\nquantity = \"vif:FD3B\"\nfunction = \"maximum\"\nstorage = \"any\"\ntariff = 2\nsubunit = 3\n\
         name = \"Spitze é\"\n\
         [[meters.keep]]\nquantity = \"energy\"\nfunction = \"any\"\nsubunit = \"any\"\ntariff = \"any\"\n"
    );
    let checked = good(&text);
    let kept: Vec<_> =
        checked.lines[0].meters.iter().map(|meter| meter.selection.as_deref().cloned()).collect();
    let peak = Keep {
        quantity: Quantity::from("vif:FD3B"),
        function: Which::Only(Function::Maximum),
        storage: Which::Any,
        tariff: Which::Only(2),
        subunit: Which::Only(3),
        name: Some("Spitze é".into()),
    };
    let energy = Keep {
        function: Which::Any,
        tariff: Which::Any,
        subunit: Which::Any,
        ..Keep::main(Quantity::Energy)
    };
    let selection = |keep| Some(Selection::new(keep).unwrap());
    assert_eq!(kept, [selection(vec![main()]), selection(vec![peak, energy])]);
    assert!(
        good(&format!("{LINE}{METER}")).lines[0].meters[0].selection.is_none(),
        "everything is forwarded"
    );
}

#[test]
fn every_fault_of_a_list_is_told_with_its_place() {
    let text = format!(
        "{LINE}{METER}keep = [\n\
         {{ quantity = \"volum\" }},\n\
         {{ storage = 1 }},\n\
         {{ quantity = \"volume\", storage = \"all\", tariff = -1, subunit = 1024, function = \"max\" }},\n\
         {{ quantity = \"volume\", quantitiy = 1 }},\n\
         ]\n"
    );
    let faults = told(&checked(&text).faults);
    assert_eq!(
        faults,
        [
            "13:1 `quantity` is missing | such as quantity = \"volume\"",
            "14:34 `storage` must be a whole number from 0 to 2199023255551, or \"any\" | ",
            "14:50 `tariff` must be a whole number from 0 to 1048575, or \"any\" | ",
            "14:64 `subunit` must be a whole number from 0 to 1023, or \"any\" | ",
            "14:81 `function` cannot be \"max\" | write \"instantaneous\" or \"maximum\" or \"minimum\" or \"during-error\" or \"any\"",
            "15:24 unknown key `quantitiy` in keep | did you mean `quantity`?",
        ]
    );
    let text = format!(
        "{LINE}{METER}keep = [\n{{ quantity = \"volum\" }},\n{{ quantity = \"power\", name = \"\" }},\n\
         {{ quantity = \"power\" }},\n]\n"
    );
    assert_eq!(
        told(&checked(&text).faults),
        [
            "12:14 there is no quantity \"volum\" | did you mean \"volume\"?",
            "13:30 a name has 1 to 64 printable characters | ",
            "14:1 these values are kept twice | ",
        ]
    );
}

#[test]
fn a_list_that_keeps_nothing_and_one_that_is_none() {
    let empty = only_fault(&format!("{LINE}{METER}keep = []\n"));
    assert_eq!(empty, "11:8 `keep` keeps nothing | leave it out to forward everything");
    let text = only_fault(&format!("{LINE}keep = \"volume\"\n{METER}"));
    assert!(
        text.starts_with("7:8 `keep` must be a list of tables, not a string | write keep = [{ "),
        "{text}"
    );
    // A default that no meter uses can be wrong too, and is told of once.
    let unused = format!("{LINE}keep = [{{ quantity = \"x\" }}]\n{METER}");
    assert!(
        only_fault(&unused).starts_with("7:22 there is no quantity \"x\" | a word as `weir read`"),
        "{unused}"
    );
}
