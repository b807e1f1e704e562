//! The search by the address that every meter of a protocol answers to: for a line with one meter.

use std::fmt::Display;
use std::sync::Arc;

use weir_cjt188::Cjt188;
use weir_dlt645::Dlt645;
use weir_mbus::discovery::SearchError;
use weir_meter::{Driver, Fault, Presence, RollCallError};

use super::{Manner, Meter, Protocol, Report};
use crate::line::{Lent, Terms};

/// Asks who is there, by the profile of meters that name none.
pub(super) async fn search(line: &mut Lent<'_>, manner: Manner, tries: u8) -> Result<Report, SearchError> {
    let serial = manner.serial();
    // What is heard is decided by the search, so nothing is repeated beneath it.
    let terms = |driver: &dyn Driver| Terms { serial, timing: driver.timing(&serial), repeats: 0 };
    let damaged = || Fault::refused("the profile of meters that name none is damaged");
    match manner.protocol {
        Protocol::Dlt645 => {
            let name = weir_dlt645::Profile::DEFAULT;
            let profile = weir_dlt645::Profile::built_in(name).and_then(Result::ok).ok_or_else(damaged)?;
            let profile = Arc::new(profile);
            let terms = terms(&Dlt645::new(weir_dlt645::Address::ANY, Arc::clone(&profile)));
            let presence = weir_dlt645::who_is_there(&mut line.on(&terms), &profile, tries).await;
            Ok(report(&presence.map_err(why)?, manner))
        }
        Protocol::Cjt188 | Protocol::Mbus => {
            let name = weir_cjt188::Profile::DEFAULT;
            let profile = weir_cjt188::Profile::built_in(name).and_then(Result::ok).ok_or_else(damaged)?;
            let profile = Arc::new(profile);
            let terms = terms(&Cjt188::new(weir_cjt188::Address::BROADCAST, Arc::clone(&profile)));
            let presence = weir_cjt188::who_is_there(&mut line.on(&terms), &profile, tries).await;
            Ok(report(&presence.map_err(why)?, manner))
        }
    }
}

fn why(error: RollCallError) -> SearchError {
    match error {
        RollCallError::Echo => SearchError::Echo,
        RollCallError::NoEcho => SearchError::NoEcho,
        RollCallError::Fault(fault) => SearchError::Fault(fault),
    }
}

fn report<A: Display>(presence: &Presence<A>, manner: Manner) -> Report {
    let name = manner.protocol.name();
    let Presence { meters, unconfirmed, is_jumbled } = presence;
    let found = |address: &A| Meter { address: Some(address.to_string()), ..manner.meter() };
    let mut troubles = Vec::new();
    if *is_jumbled {
        troubles.push(format!(
            "several {name} meters answer at once, or the line is disturbed: only one that is alone can be asked \
             for its address; disconnect the others, or take the numbers from their faces"
        ));
    }
    troubles.extend(unconfirmed.iter().map(|address| {
        format!(
            "an answer came from {name} meter {address}, and none answers to that address: several at once?"
        )
    }));
    Report { meters: meters.iter().map(found).collect(), troubles }
}
