//! `keep`: which values of a meter are forwarded, and what the utility calls them.

use std::sync::Arc;

use weir_meter::selection::{ANY, Keep, KeepFault, STORAGE_MAX, SUBUNIT_MAX, Selection, TARIFF_MAX, Which};
use weir_wire::Quantity;

use super::super::file;
use super::super::notice::Findings;
use super::super::reader::{NumberOrText, nearest};
use super::super::source::At;

/// The selection that was typed; `None` when there is none, or a faulty one.
pub(super) fn selection(
    typed: Option<&At<Arc<[file::Keep]>>>,
    findings: &mut Findings,
) -> Option<Arc<Selection>> {
    let typed = typed?;
    let entries: Vec<Option<Keep>> = typed.value.iter().map(|entry| keep(entry, findings)).collect();
    // Of a list with an entry that could not be read it is not known what it would keep.
    let entries: Vec<Keep> = entries.into_iter().collect::<Option<_>>()?;
    match Selection::new(entries) {
        Ok(selection) => Some(Arc::new(selection)),
        Err(faults) => {
            for (index, fault) in faults {
                tell(typed, index, &fault, findings);
            }
            None
        }
    }
}

fn tell(typed: &At<Arc<[file::Keep]>>, index: Option<usize>, fault: &KeepFault, findings: &mut Findings) {
    let entry = index.and_then(|index| typed.value.get(index));
    let word = entry.and_then(|entry| match fault {
        KeepFault::UnknownQuantity(_) => entry.quantity.as_ref(),
        KeepFault::BadName => entry.name.as_ref(),
        _ => None,
    });
    let place = word.map(|word| &word.place).or(entry.map(|entry| &entry.place)).unwrap_or(&typed.place);
    let near = match fault {
        KeepFault::UnknownQuantity(word) => nearest(word, Quantity::ALL.iter().map(Quantity::as_str)),
        _ => None,
    };
    let hint = near.map(|near| format!("did you mean \"{near}\"?")).or(fault.hint().map(str::to_owned));
    let notice = findings.fault(place, fault.to_string());
    if let Some(hint) = hint {
        notice.hint(hint);
    }
}

fn keep(entry: &file::Keep, findings: &mut Findings) -> Option<Keep> {
    findings.require("quantity", &entry.quantity, &entry.place, "such as quantity = \"volume\"");
    let storage = place("storage", entry.storage.as_ref(), STORAGE_MAX, findings);
    let tariff = place("tariff", entry.tariff.as_ref(), TARIFF_MAX, findings);
    let subunit = place("subunit", entry.subunit.as_ref(), SUBUNIT_MAX, findings);
    let main = Keep::main(Quantity::from(entry.quantity.as_ref()?.value.as_str()));
    Some(Keep {
        function: entry.function.as_ref().map_or(main.function.clone(), |function| function.value.clone()),
        storage: storage?,
        tariff: tariff?,
        subunit: subunit?,
        name: entry.name.as_ref().map(|name| name.value.clone()),
        ..main
    })
}

/// A number up to this one, or any; 0 when nothing was typed.
fn place<T: TryFrom<i64> + Default>(
    key: &str,
    typed: Option<&At<NumberOrText>>,
    max: i64,
    findings: &mut Findings,
) -> Option<Which<T>> {
    let Some(at) = typed else { return Some(Which::Only(T::default())) };
    let number = match &at.value {
        NumberOrText::Text(text) if text == ANY => return Some(Which::Any),
        NumberOrText::Text(_) => None,
        NumberOrText::Number(number) => Some(number).filter(|number| (0..=max).contains(*number)),
    };
    let number = number.and_then(|number| T::try_from(*number).ok());
    if number.is_none() {
        let message = format!("`{key}` must be a whole number from 0 to {max}, or \"{ANY}\"");
        findings.fault(&at.place, message);
    }
    number.map(Which::Only)
}
